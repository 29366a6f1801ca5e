"""Cut images into overlapping square sub-images, which load faster in training than whole images."""

import argparse
from pathlib import Path

from prismsr.data.prepare.common import add_folder_arguments, find_inputs, print_result, run_step
from prismsr.utils.command_line import whole_number
from prismsr.utils.errors import DataError, OptionError
from prismsr.utils.images import PNG_COMPRESSION, image_size, read_image, write_png_atomic

SCALE_MARKS = ("x2", "x3", "x4", "x8")  # DIV2K's LR files are called 0001x4.png and so on


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line of the step."""
    add_folder_arguments(parser)
    parser.add_argument("--crop", type=whole_number(1), default=512, help="side in pixels (default: %(default)s)")
    parser.add_argument(
        "--step", type=whole_number(1), default=256, help="pixels from one to the next (default: %(default)s)"
    )
    parser.add_argument(
        "--thresh",
        type=whole_number(0),
        default=0,
        help="a last row or column flush with the border is added where more pixels than this would be left over "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--compression",
        type=int,
        choices=range(10),
        default=PNG_COMPRESSION,
        metavar="0..9",
        help="PNG compression level (default: %(default)s)",
    )


def run(args: argparse.Namespace) -> int:
    """Write NAME_s001.png, NAME_s002.png, ... for each image, row by row."""
    images = strip_scale_marks(find_inputs(args.input, args.output))
    options = {"crop": args.crop, "step": args.step, "thresh": args.thresh, "compression": args.compression}
    written, skipped = run_step(args, "subimages", images, write_crops, options)
    print_result("subimages", args.output, written, skipped)
    return 0


def strip_scale_marks(images: dict[str, Path]) -> dict[str, Path]:
    """Return the images with x2, x3, x4 and x8 removed from their names (not from their folders').

    OptionError where two images have the same name then.
    """
    stripped: dict[str, Path] = {}
    for key, path in images.items():
        folder, slash, name = key.rpartition("/")
        for mark in SCALE_MARKS:
            name = name.replace(mark, "")
        if (new := folder + slash + name) in stripped:
            raise OptionError(
                f"{path} and {stripped[new]} are both {new!r} without {', '.join(SCALE_MARKS)}; rename one of them"
            )
        stripped[new] = path
    return stripped


def crop_starts(length: int, crop: int, step: int, thresh: int) -> list[int]:
    """Return first pixels of the crops along an axis of `length` >= `crop` pixels."""
    starts = list(range(0, length - crop + 1, step))
    if length - (starts[-1] + crop) > thresh:
        starts.append(length - crop)
    return starts


def write_crops(path: Path, key: str, output: Path, crop: int, step: int, thresh: int, compression: int) -> int:
    """Write those sub-images of an image that do not exist yet; return the number of files written.

    DataError where the image is smaller than a sub-image.
    """
    height, width = image_size(path)
    if min(height, width) < crop:
        raise DataError(
            f"{path}: {height} x {width} pixels (height x width) hold no crop of {crop} x {crop}; "
            "use a smaller --crop, or enlarge the image first (multiscale does)"
        )
    tops, lefts = crop_starts(height, crop, step, thresh), crop_starts(width, crop, step, thresh)
    corners = [(top, left) for top in tops for left in lefts]
    targets = [output / f"{key}_s{number:03d}.png" for number in range(1, len(corners) + 1)]
    missing = [(target, corner) for target, corner in zip(targets, corners, strict=True) if not target.exists()]
    if missing:
        image = read_image(path)
        for target, (top, left) in missing:
            write_png_atomic(target, image[top : top + crop, left : left + crop], compression)
    return len(missing)
