"""Merge a LoRA adapter into the network that it was trained on."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prismsr.models.lora.adapters import merge
from prismsr.models.lora.training import read_adapter, state_hash
from prismsr.models.training.checkpoint_files import CheckpointError, save_file, save_safetensors
from prismsr.utils.errors import JobError, OptionError
from prismsr.utils.weights.files import network_weights

from torch import Tensor

KEYS = ("params", "params_ema")


def merge_file(
    base_file: Path,
    lora_file: Path,
    output: Path,
    *,
    param_key: str | None = None,
    base_key: str | None = None,
    overwrite: bool = False,
    force: bool = False,
) -> None:
    """Merge, write the file, and print what was merged.

    Args:
        base_file: path.pretrain_network_g of the training.
        lora_file: net_g_lora_... of the training.
        output: a .pth or .safetensors file.
        param_key: merge this one alone; it is saved as params.
        base_key: key in the base file; None for the one that the adapter was trained on.
        overwrite: replace the output.
        force: merge into another base than the adapter was trained on.

    Raises:
        OptionError: the files or keys do not fit together.
        JobError: the output cannot be written.
    """
    check_output(output, overwrite)
    adapter = read_adapter(lora_file)
    about = adapter["lora"]
    base = find_base(base_file, base_key, None if force else about["base_sha256"])
    keys = [key for key in KEYS if isinstance(adapter.get(key), dict) and param_key in (None, key)]
    if not keys:
        raise OptionError(f"--param_key: {lora_file} has no {param_key}; it has params.")
    scale = about["alpha"] / about["rank"]
    content = {key: merge(base, adapter[key], scale) for key in keys}
    try:
        if output.suffix == ".safetensors":
            save_safetensors(output, content[keys[-1]], {"weights": keys[-1], "lora": lora_file.name})
        else:
            save_file(output, {"params": content[param_key]} if param_key else content)
    except (CheckpointError, OSError) as error:
        raise JobError(f"{output} cannot be written ({error.__cause__ or error})") from None
    layers = len(adapter[keys[0]]) // 2
    print(f"{output}: {', '.join(keys)} of {layers} layers, rank {about['rank']}, alpha {about['alpha']:g}")


def check_output(output: Path, overwrite: bool, suffixes: Sequence[str] = (".pth", ".safetensors")) -> None:
    """Raise OptionError where a file to be written has another suffix, or is there already."""
    if output.suffix not in suffixes:
        raise OptionError(f"-o {output}: must end in {' or '.join(suffixes)}.")
    if output.exists() and not overwrite:
        raise OptionError(f"-o {output}: is there already; --overwrite replaces it.")


def find_base(path: Path, key: str | None, sha256: Any) -> dict[str, Tensor]:
    """Return the state dict of the base: the one of its file, or the one under `key`, whose hash is right.

    Args:
        path: file of the base, in any layout.
        key: where in the file; None: params, else params_ema, state_dict or the top level.
        sha256: what `state_hash` has to give; None: anything.
    """
    found = [network_weights(path, name) for name in ((key,) if key else (*KEYS, "state_dict"))]
    if key is not None and found[0][1] != key:
        raise OptionError(f"--base_key: {path} has no {key}.")
    if sha256 is None:
        return found[0][0]
    for state, _ in found:
        if state_hash(state) == sha256:
            return state
    raise OptionError(
        f"--base {path}: is not the network that the adapter was trained on (sha256 of its tensors "
        f"{state_hash(found[0][0])[:12]}..., not {sha256[:12]}...). Give that one, or --force to merge into this one."
    )
