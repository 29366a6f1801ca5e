"""Arguments and run of tools/infer.py."""

import argparse
import sys
from pathlib import Path

from prismsr.tools.inference.defaults import EXTENSIONS, OVERLAP, PRECISIONS, TILE
from prismsr.utils.command_line import ROOT, print_list, whole_number
from prismsr.utils.errors import OptionError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add = parser.add_argument
    add_model_arguments(parser)
    add("-i", "--input", type=Path, nargs="+", required=True, help="image files and folders of images")
    add("-o", "--output", type=Path, required=True, help="folder, or for one image a file name")
    add("--tile", type=whole_number(0), default=TILE, help="longest side in input pixels; 0: whole (%(default)s)")
    add("--overlap", type=whole_number(0), help=f"pixels that tiles share ({OVERLAP}, or half of a smaller tile)")
    add("--precision", choices=PRECISIONS, default="fp32", help="default: %(default)s")
    add("--scale", type=whole_number(1), help="enlargement of the output, a divisor of the network's, its default")
    add("--alpha", choices=["bicubic", "net"], default="bicubic", help="how alpha is enlarged (%(default)s)")
    add("--suffix", default="", help="put at the end of each name, before the extension")
    add("--ext", choices=EXTENSIONS, default="auto", help="auto: as the input if lossless, else png (default)")
    add("--device", default="auto", help="auto, cpu, cuda, cuda:1, or all: the images are split over all GPUs")
    add("--workers", type=whole_number(1), default=1, help="processes on each device (%(default)s)")
    add("--overwrite", action="store_true", help="do again what is done, and what was made with other settings")


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --model, --weights and --param_key."""
    parser.add_argument("--model", type=Path, required=True, help="option file, or weights that spandrel knows")
    parser.add_argument("--weights", type=Path, help="checkpoint for an option file (default: its experiment's latest)")
    parser.add_argument(
        "--param_key", choices=["auto", "params_ema", "params"], default="auto", help="network of the checkpoint (auto)"
    )


def run(args: argparse.Namespace) -> int:
    """Load the generator, go through the images, print what was done; returns 0, or 1 where images failed."""
    from prismsr.tools.inference.folder import infer_folder, load_generator

    devices = split_devices(args.device, args.workers)
    device = "cpu" if devices else args.device  # each process loads it on its own device
    generator = load_generator(args.model, args.weights, args.param_key, device, args.precision, ROOT)
    names = ("tile", "overlap", "suffix", "ext", "alpha", "scale", "overwrite")
    settings = {name: getattr(args, name) for name in names}
    report = infer_folder(generator, args.input, args.output, devices=devices, **settings)
    print(f"{report}; in {args.output}")
    print_list(report.notes)
    if report.failed:
        print("Failed:", *report.failed, sep="\n  ", file=sys.stderr)
    return 1 if report.failed else 0


def split_devices(device: str, workers: int) -> list[str]:
    """Return the device of each process, none where this one does the work; OptionError for `all` without a GPU."""
    import torch

    if device == "all":
        if not torch.cuda.is_available():
            raise OptionError("--device all: torch finds no CUDA device here; use --device cpu (--workers N)")
        return [f"cuda:{index}" for index in range(torch.cuda.device_count())] * workers
    return [device] * workers if workers > 1 else []
