"""Make files of weights from others: an adapter merged into its network, a published checkpoint in our names."""

import pickle
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from prismsr.models.lora.adapters import merge
from prismsr.models.lora.training import read_adapter, state_hash
from prismsr.models.training.checkpoint_files import CheckpointError, save_file, save_safetensors
from prismsr.tools.inference.generator_files import build_network_g
from prismsr.utils.errors import JobError, OptionError
from prismsr.utils.options.files import load_with_lines
from prismsr.utils.weights.files import WeightsError, load_strictly, network_weights
from prismsr.utils.weights.published import read_list

from torch import Tensor

KEYS = ("params", "params_ema")
_TRUSTED = (
    " It is a checkpoint with more than weights, as Lightning writes them. On a machine that you trust it with: "
    "python -c \"import torch; torch.save(torch.load('{}', weights_only=False, map_location='cpu')['state_dict'], "
    "'weights.pth')\", then convert weights.pth."
)


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
    """Merge, write the file, and print what was merged; the arguments are those that tools/merge_lora.py describes.

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
    if output.suffix == ".safetensors":
        notes = {"weights": keys[-1], "lora": lora_file.name}
        _write(output, lambda: save_safetensors(output, content[keys[-1]], notes))
    else:
        _write(output, lambda: save_file(output, {"params": content[param_key]} if param_key else content))
    layers = len(adapter[keys[0]]) // 2
    print(f"{output}: {', '.join(keys)} of {layers} layers, rank {about['rank']}, alpha {about['alpha']:g}")


def _write(output: Path, save: Callable[[], object]) -> None:
    try:
        save()
    except (CheckpointError, OSError) as error:
        raise JobError(f"{output} cannot be written ({error.__cause__ or error})") from None


def check_output(output: Path, overwrite: bool, suffixes: Sequence[str] = (".pth", ".safetensors")) -> None:
    """Raise OptionError where a file to be written has another suffix, or is there already."""
    if output.suffix not in suffixes:
        raise OptionError(f"-o {output}: must end in {' or '.join(suffixes)}.")
    if output.exists() and not overwrite:
        raise OptionError(f"-o {output}: is there already; --overwrite replaces it.")


def find_base(path: Path, key: str | None, sha256: Any) -> dict[str, Tensor]:
    """Return the state dict of the base file `path`, in any layout, whose `state_hash` is `sha256`, None for any.

    It stands under `key`; None: params, else params_ema, state_dict or the top level.
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


def convert_file(source: Path, output: Path, options: Path, overwrite: bool = False) -> None:
    """Convert the authors' file, write the .pth file, and print what was converted and on which terms.

    The class of the option file's network_g says how, by `convert_published(state)`; a class without it has the
    published names. The result is loaded strictly into that network before it is written. params and params_ema are
    converted both where the file has both.

    Raises:
        OptionError: the output is there already, or the option file is wrong.
        WeightsError: the file needs more than tensors, or has not the tensors of the network.
        JobError: the output cannot be written.
    """
    check_output(output, overwrite, (".pth",))
    if output.resolve() == source.resolve():
        raise OptionError(f"-o {output}: is the authors' file itself; give another name.")
    states = _read_states(source)
    loaded = load_with_lines(options)
    net: Any = build_network_g(loaded, options)
    content: dict[str, Any] = {}
    for key, state in states.items():
        load_strictly(net, _rename(net, state, source), source)
        content[key] = {name: value.detach().clone() for name, value in net.state_dict().items()}
        numbers = sum(value.numel() for value in content[key].values())
        told = f"{len(content[key])} tensors, {numbers:,} numbers, of {len(state)} in the file"
        print(f"{key}: {told}, for {type(net).__name__} of {options}")
    if hasattr(net, "NOTES"):  # as a checkpoint of a training of it has them
        content[net.NOTES] = net.sections
    _write(output, lambda: save_file(output, content))
    terms = next(
        (known.licence for known in read_list() if Path(known.path).name == source.name), "those of its authors"
    )
    print(f"{output}: written\nterms: {terms}; they hold for the converted file, too")


def _read_states(source: Path) -> dict[str, Mapping[str, Tensor]]:
    try:
        found = [network_weights(source, key) for key in KEYS]
    except WeightsError as error:
        if isinstance(error.__cause__, pickle.UnpicklingError):
            raise WeightsError(f"{error}{_TRUSTED.format(source)}") from error
        raise
    return {key if key in KEYS else KEYS[0]: state for state, key in found}


def _rename(net: Any, state: Mapping[str, Tensor], source: Path) -> Mapping[str, Tensor]:
    try:
        renamed: Mapping[str, Tensor] = net.convert_published(state) if hasattr(net, "convert_published") else state
    except WeightsError as error:
        raise WeightsError(f"{source}: {error}") from error
    except (LookupError, ValueError, ArithmeticError, RuntimeError) as error:  # names or sizes that no such file has
        raise WeightsError(
            f"{source} is no published file of {type(net).__name__}, or a damaged one: its tensors cannot be renamed "
            f"({error})."
        ) from error
    return renamed
