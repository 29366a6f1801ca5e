"""Super-resolve images: any option file with its checkpoint, or any weights that spandrel knows.

See docs/guide/inference.md.

    python tools/infer.py --model options/demo/compact_gan_ssl_x4.yml -i photos -o results/photos
    python tools/infer.py --model RealESRGAN_x4plus.pth -i photo.jpg -o large.png --precision fp16

The same command again goes on where it was stopped.
"""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from prismsr.tools.inference.folder import InferenceError, InferenceReport, infer_folder, load_generator
from prismsr.tools.inference.generator import PRECISIONS
from prismsr.tools.inference.plan import EXTENSIONS
from prismsr.utils.command_line import fail, print_list, run_main, whole_number
from prismsr.utils.errors import JobError, UserError
from prismsr.utils.tiling import DEFAULT_OVERLAP, DEFAULT_TILE

import torch

_fail = partial(fail, "infer.py")

ROOT = Path(__file__).resolve().parents[1]


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="infer.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add_model_arguments(parser)
    add("-i", "--input", type=Path, nargs="+", required=True, help="image files and folders of images")
    add("-o", "--output", type=Path, required=True, help="folder, or for one image a file name")
    add("--tile", type=whole_number(0), default=DEFAULT_TILE, help="side in input pixels; 0: whole (%(default)s)")
    add("--overlap", type=whole_number(0), default=DEFAULT_OVERLAP, help="pixels that tiles share (%(default)s)")
    add("--precision", choices=list(PRECISIONS), default="fp32", help="default: %(default)s")
    add("--scale", type=whole_number(1), help="enlargement of the output, a divisor of the network's, its default")
    add("--alpha", choices=["bicubic", "net"], default="bicubic", help="how alpha is enlarged (%(default)s)")
    add("--suffix", default="", help="put at the end of each name, before the extension")
    add("--ext", choices=EXTENSIONS, default="auto", help="auto: as the input if lossless, else png (default)")
    add("--device", default="auto", help="auto, cpu, cuda, cuda:1, or all: the images are split over all GPUs")
    add("--workers", type=whole_number(1), default=1, help="processes on each device (%(default)s)")
    add("--overwrite", action="store_true", help="do again what is done, and what was made with other settings")
    return parser


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --model, --weights and --param_key."""
    parser.add_argument("--model", type=Path, required=True, help="option file, or weights that spandrel knows")
    parser.add_argument("--weights", type=Path, help="checkpoint for an option file (default: its experiment's latest)")
    parser.add_argument(
        "--param_key", choices=["auto", "params_ema", "params"], default="auto", help="network of the checkpoint (auto)"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool.

    Returns:
        Exit code: 0 done, 1 an image failed or the run had to stop, 2 wrong usage, model or weights, 130 Ctrl-C.
    """
    args = build_parser().parse_args(argv)
    try:
        report = run(args)
    except UserError as error:
        return _fail(error, 2)
    except JobError as error:
        return _fail(error, 1)
    except KeyboardInterrupt:
        return _fail("stopped; the images done so far are kept, the same command goes on from there", 130)
    print(f"{report}; in {args.output}")
    print_list(report.notes)
    if report.failed:
        print("Failed:", *report.failed, sep="\n  ", file=sys.stderr)
    return 1 if report.failed else 0


def run(args: argparse.Namespace) -> InferenceReport:
    """Load the generator and go through the images."""
    devices = split_devices(args.device, args.workers)
    generator = load_generator(
        args.model,
        args.weights,
        args.param_key,
        "cpu" if devices else args.device,  # each process loads it on its own device
        args.precision,
        ROOT,
    )
    return infer_folder(
        generator,
        args.input,
        args.output,
        tile=args.tile,
        overlap=args.overlap,
        suffix=args.suffix,
        ext=args.ext,
        alpha=args.alpha,
        scale=args.scale,
        overwrite=args.overwrite,
        devices=devices,
    )


def split_devices(device: str, workers: int) -> list[str]:
    """The device of each process; empty where this process does the work.

    Raises:
        InferenceError: `all` where there is no GPU.
    """
    if device == "all":
        if not torch.cuda.is_available():
            raise InferenceError("--device all: torch finds no CUDA device here; use --device cpu (--workers N)")
        devices = [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    else:
        devices = [device]
    devices *= workers
    return devices if len(devices) > 1 else ([] if device != "all" else devices)


if __name__ == "__main__":
    run_main(main)
