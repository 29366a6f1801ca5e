"""Merge a LoRA adapter into the network that it was trained on, in that network's own key layout.

    python tools/merge_lora.py --base BASE.pth --lora net_g_lora_20000.pth -o merged.pth

Each adapted weight W becomes W + alpha / rank * B A; everything else is copied. A .pth file gets params and, where the
adapter has one, params_ema, as a training writes them; a .safetensors file holds one of them.
"""

import argparse
from functools import partial
from pathlib import Path

from prismsr.utils.command_line import command, run_main


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add = parser.add_argument
    add("--base", type=Path, required=True, help="path.pretrain_network_g of the training")
    add("--lora", type=Path, required=True, help="net_g_lora_... of the training")
    add("-o", "--output", type=Path, required=True, help="a .pth or .safetensors file")
    add("--param_key", choices=["params", "params_ema"], help="merge this one alone; it is saved as params")
    add("--base_key", help="key in the base file (default: the one the adapter was trained on)")
    add("--overwrite", action="store_true", help="replace the output file")
    add("--force", action="store_true", help="merge into another base than the adapter was trained on")


def run(args: argparse.Namespace) -> None:
    """Merge, and write the file."""
    from prismsr.tools.weight_files.merging import merge_file

    merge_file(
        args.base, args.lora, args.output,
        param_key=args.param_key, base_key=args.base_key, overwrite=args.overwrite, force=args.force,
    )  # fmt: skip


main = partial(command, "merge_lora.py", __doc__, add_arguments, run, stopped="stopped; nothing was written")

if __name__ == "__main__":
    run_main(main)
