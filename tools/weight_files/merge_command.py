"""Arguments and run of tools/merge_lora.py."""

import argparse
from pathlib import Path
from typing import Any

from prismsr.models.lora.adapters import merge
from prismsr.models.lora.training import read_adapter, state_hash
from prismsr.models.training.checkpoint_files import CheckpointError, save_file, save_safetensors
from prismsr.utils.errors import JobError, OptionError
from prismsr.utils.weights.files import network_weights

from torch import Tensor

KEYS = ("params", "params_ema")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--base", type=Path, required=True, help="path.pretrain_network_g of the training")
    parser.add_argument("--lora", type=Path, required=True, help="net_g_lora_... of the training")
    parser.add_argument("-o", "--output", type=Path, required=True, help="a .pth or .safetensors file")
    parser.add_argument("--param_key", choices=KEYS, help="merge this one alone; it is saved as params")
    parser.add_argument("--base_key", help="key in the base file (default: the one the adapter was trained on)")
    parser.add_argument("--overwrite", action="store_true", help="replace the output file")
    parser.add_argument("--force", action="store_true", help="merge into another base than the adapter was trained on")


def run(args: argparse.Namespace) -> None:
    """Merge, and write the file."""
    _check_output(args.output, args.overwrite)
    adapter = read_adapter(args.lora)
    about = adapter["lora"]
    base = find_base(args.base, args.base_key, None if args.force else about["base_sha256"])
    keys = [key for key in KEYS if isinstance(adapter.get(key), dict) and args.param_key in (None, key)]
    if not keys:
        raise OptionError(f"--param_key: {args.lora} has no {args.param_key}; it has params.")
    scale = about["alpha"] / about["rank"]
    content = {key: merge(base, adapter[key], scale) for key in keys}
    try:
        if args.output.suffix == ".safetensors":
            save_safetensors(args.output, content[keys[-1]], {"weights": keys[-1], "lora": args.lora.name})
        else:
            save_file(args.output, {"params": content[args.param_key]} if args.param_key else content)
    except (CheckpointError, OSError) as error:
        raise JobError(f"{args.output} cannot be written ({error.__cause__ or error})") from None
    layers = len(adapter[keys[0]]) // 2
    print(f"{args.output}: {', '.join(keys)} of {layers} layers, rank {about['rank']}, alpha {about['alpha']:g}")


def _check_output(output: Path, overwrite: bool) -> None:
    if output.suffix not in (".pth", ".safetensors"):
        raise OptionError(f"-o {output}: must end in .pth or .safetensors.")
    if output.exists() and not overwrite:
        raise OptionError(f"-o {output}: is there already; --overwrite replaces it.")


def find_base(path: Path, key: str | None, sha256: Any) -> dict[str, Tensor]:
    """State dict of the base: the one of its file, or the one under `key`, whose hash is right.

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
