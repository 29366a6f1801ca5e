"""Arguments and run of tools/merge_lora.py."""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--base", type=Path, required=True, help="path.pretrain_network_g of the training")
    parser.add_argument("--lora", type=Path, required=True, help="net_g_lora_... of the training")
    parser.add_argument("-o", "--output", type=Path, required=True, help="a .pth or .safetensors file")
    parser.add_argument(
        "--param_key", choices=["params", "params_ema"], help="merge this one alone; it is saved as params"
    )
    parser.add_argument("--base_key", help="key in the base file (default: the one the adapter was trained on)")
    parser.add_argument("--overwrite", action="store_true", help="replace the output file")
    parser.add_argument("--force", action="store_true", help="merge into another base than the adapter was trained on")


def run(args: argparse.Namespace) -> None:
    """Merge, and write the file."""
    from prismsr.tools.weight_files.merging import merge_file

    merge_file(
        args.base, args.lora, args.output,
        param_key=args.param_key, base_key=args.base_key, overwrite=args.overwrite, force=args.force,
    )  # fmt: skip
