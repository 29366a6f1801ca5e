"""Write the demo set: colour photographs that scikit-image and scikit-learn ship, as train and val HR images."""

import argparse
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from prismsr.data.prepare.common import add_run_arguments, claim_folder, print_result, run_all
from prismsr.utils.errors import OptionError
from prismsr.utils.images import read_image, write_png_atomic

import cv2

FOLDERS = {"skimage": "data", "sklearn": "datasets/images"}  # package -> where it keeps its photographs
TRAIN = {
    "rocket": "skimage/rocket.jpg",
    "ihc": "skimage/ihc.png",
    "motorcycle_left": "skimage/motorcycle_left.png",
    "motorcycle_right": "skimage/motorcycle_right.png",
    "china": "sklearn/china.jpg",
    "flower": "sklearn/flower.jpg",
}
VAL = {"astronaut": "skimage/astronaut.png", "coffee": "skimage/coffee.png", "chelsea": "skimage/chelsea.png"}
MULTIPLE = 12  # sides of the HR images are multiples of it, so that scales 2, 3, 4 and 6 divide them


add_arguments = add_run_arguments


def run(args: argparse.Namespace) -> int:
    """Write OUTPUT/train/HR/*.png and OUTPUT/val/HR/*.png."""
    jobs: list[tuple[Any, ...]] = []
    for split, photos in (("train", TRAIN), ("val", VAL)):
        folder = args.output / split / "HR"
        sources = {name: photo_path(photo) for name, photo in photos.items()}
        claim_folder(folder, {"command": "photos", "photos": photos, "multiple": MULTIPLE}, args.overwrite)
        jobs += [(source, folder / f"{name}.png") for name, source in sources.items()]
    written, skipped = run_all(args, "photos", partial(write_photo, multiple=MULTIPLE), jobs)
    print_result("photos", args.output, written, skipped)
    return 0


def photo_path(photo: str) -> Path:
    """Return the installed file of a photograph given as "package/name"; OptionError where it is not there."""
    package, name = photo.split("/")
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise OptionError(f"the package {package} is not installed; its photograph {name} is part of the demo set")
    path = Path(spec.origin).parent / FOLDERS[package] / name
    if not path.is_file():
        raise OptionError(f"{path}: this release of {package} does not ship the photograph; install another release")
    return path


def write_photo(source: Path, target: Path, multiple: int) -> int:
    """Write a photograph's top left part, sides cropped to multiples of `multiple`, as 8-bit RGB PNG.

    Return the number of files written: 0 where the target exists.
    """
    if target.exists():
        return 0
    image = read_image(source)
    if image.ndim == 2:
        image = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
    height, width = (side - side % multiple for side in image.shape[:2])
    write_png_atomic(target, image[:height, :width, :3])
    return 1
