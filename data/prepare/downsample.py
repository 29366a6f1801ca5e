"""Make LR images from HR images with MATLAB's bicubic, see prismsr.utils.resize."""

import argparse
from pathlib import Path

from prismsr.data.prepare.common import add_folder_arguments, find_inputs, print_result, run_step
from prismsr.utils.command_line import whole_number
from prismsr.utils.errors import DataError, OptionError
from prismsr.utils.images import read_image, write_png_atomic


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line of the step."""
    add_folder_arguments(parser)
    parser.add_argument("--scale", type=whole_number(1), default=4, help="the factor (default: %(default)s)")
    parser.add_argument(
        "--mod-crop",
        nargs="?",
        type=whole_number(1),
        const=0,
        metavar="MULTIPLE",
        help="crop HR images at the right and bottom to multiples of MULTIPLE (default: the factor) first, instead of "
        "refusing those that the factor does not divide",
    )


def run(args: argparse.Namespace) -> int:
    """Write an LR image of the same name for each HR image."""
    import prismsr.utils.resize  # noqa: F401  (with torch; here, as each worker would load it anew)

    multiple = args.scale if args.mod_crop == 0 else args.mod_crop
    if multiple is not None and multiple % args.scale:
        raise OptionError(f"--mod-crop {multiple}: allowed are multiples of the scale, {args.scale}")
    images = find_inputs(args.input, args.output)
    options = {"scale": args.scale, "multiple": multiple}
    written, skipped = run_step(args, "downsample", images, write_lr, options)
    print_result("downsample", args.output, written, skipped)
    return 0


def write_lr(path: Path, key: str, output: Path, scale: int, multiple: int | None) -> int:
    """Write the LR image of an HR image, unless it exists; return the number of files written.

    HR sides are cropped to multiples of `multiple` first; None refuses sides that the factor does not divide.

    Raises:
        DataError: the sides are refused, or nothing is left of them.
    """
    from prismsr.utils.resize import imresize_bicubic  # with torch, which --help need not load

    target = output / f"{key}.png"
    if target.exists():
        return 0
    image = read_image(path)
    height, width = image.shape[:2]
    if multiple is None and (height % scale or width % scale):
        raise DataError(
            f"{path}: {height} x {width} pixels (height x width) are not multiples of the scale {scale}; "
            "crop the HR images so that both sets fit, or add --mod-crop to leave the last rows and columns out"
        )
    multiple = multiple or scale
    if min(height, width) < multiple:
        raise DataError(f"{path}: {height} x {width} pixels (height x width); {multiple} or more are needed")
    write_png_atomic(target, imresize_bicubic(image[: height - height % multiple, : width - width % multiple], scale))
    return 1
