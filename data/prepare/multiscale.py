"""Add smaller versions of large images, as for the DF2K_OST training set of the SSL paper.

Paper: SSL, training data.
"""

import argparse
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

from prismsr.data.prepare.common import add_folder_arguments, find_inputs, print_result, run_step
from prismsr.utils.command_line import whole_number
from prismsr.utils.errors import OptionError
from prismsr.utils.files import atomic_write
from prismsr.utils.images import encode_png, image_size, read_bytes, read_image, write_png_atomic

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SCALES = ("0.75", "0.6", "1/3")
SHORTEST_EDGE = 512


def scale_factor(text: str) -> float:
    """Return an argparse type: a number or fraction above 0 and below 1."""
    try:
        value = float(Fraction(text))
    except (ValueError, ZeroDivisionError):
        value = 0.0
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"got {text!r}; allowed: numbers above 0 and below 1, such as 0.75 or 1/3")
    return value


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line of the step."""
    add_folder_arguments(parser)
    parser.add_argument(
        "--scales",
        type=scale_factor,
        nargs="+",
        default=[scale_factor(scale) for scale in SCALES],
        help=f"factors of the versions T0, T1, ... (default: {' '.join(SCALES)})",
    )
    parser.add_argument(
        "--shortest-edge",
        type=whole_number(1),
        default=SHORTEST_EDGE,
        help="a version (and the original) is kept if its shorter side has this many pixels; the version S has exactly "
        "as many, enlarged where need be (default: %(default)s)",
    )


def run(args: argparse.Namespace) -> int:
    """Write NAME.png, NAMET0.png, NAMET1.png, ... and NAMES.png for each image NAME."""
    images = find_inputs(args.input, args.output)
    refuse_collisions(images, ["", "S", *(f"T{index}" for index in range(len(args.scales)))])
    options = {"scales": args.scales, "shortest_edge": args.shortest_edge}
    written, skipped = run_step(args, "multiscale", images, write_versions, options)
    print_result("multiscale", args.output, written, skipped)
    return 0


def refuse_collisions(keys: Iterable[str], suffixes: Iterable[str]) -> None:
    """Raise OptionError where two images would write the same file, e.g. `aS` and the version S of `a`."""
    written: dict[str, str] = {}
    suffixes = list(suffixes)
    for key in keys:
        for suffix in suffixes:
            other = written.setdefault(key + suffix, key)
            if other != key:
                raise OptionError(f"{key!r} and {other!r} would both write {key + suffix}.png; rename one of them")


def version_sizes(height: int, width: int, scales: Iterable[float], shortest_edge: int) -> dict[str, tuple[int, int]]:
    """Return (height, width) of an image's versions by suffix, "" for the original; sizes are cut to whole pixels."""
    shorter, longer = min(height, width), max(height, width)
    scaled = {f"T{index}": (int(height * scale), int(width * scale)) for index, scale in enumerate(scales)}
    sizes = {suffix: size for suffix, size in scaled.items() if min(size) >= shortest_edge}
    other_edge = int(shortest_edge * (longer / shorter))
    sizes["S"] = (other_edge, shortest_edge) if width < height else (shortest_edge, other_edge)
    if shorter >= shortest_edge:
        sizes[""] = (height, width)
    return sizes


def write_versions(path: Path, key: str, output: Path, scales: list[float], shortest_edge: int) -> int:
    """Write those versions of an image that do not exist yet; return the number of files written."""
    sizes = version_sizes(*image_size(path), scales, shortest_edge)
    targets = {suffix: output / f"{key}{suffix}.png" for suffix in sizes}
    missing = [suffix for suffix, target in targets.items() if not target.exists()]
    if not missing:
        return 0
    image = read_image(path)
    for suffix in missing:
        if suffix:
            write_png_atomic(targets[suffix], lanczos(image, *sizes[suffix]))
        else:
            is_png = path.suffix.lower() == ".png"
            atomic_write(targets[suffix], read_bytes(path) if is_png else encode_png(image))
    return len(missing)


def lanczos(image: NDArray[Any], height: int, width: int) -> NDArray[Any]:
    """Resize (H, W) or (H, W, C), uint8 or uint16, with PIL's antialiased Lanczos filter; the dtype stays."""
    if image.dtype == np.uint8:
        return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.LANCZOS))
    if image.ndim == 3:
        return np.dstack([lanczos(channel, height, width) for channel in np.moveaxis(image, 2, 0)])
    # PIL has no 16-bit colour; its 32-bit float mode takes one channel at a time
    resized = Image.fromarray(image.astype(np.float32)).resize((width, height), Image.Resampling.LANCZOS)
    return np.asarray(resized).round().clip(0, np.iinfo(np.uint16).max).astype(np.uint16)
