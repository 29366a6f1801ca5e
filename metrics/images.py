"""How evaluation reads images: 8 bits, three channels, and a reference of the SR image's size."""

from pathlib import Path
from typing import Literal

from prismsr.utils.errors import DataError
from prismsr.utils.images import eight_bit_bgr, read_image

import numpy as np
from numpy.typing import NDArray

Align = Literal["equal", "crop"]
Image = NDArray[np.uint8]


def read_bgr(path: Path) -> Image:
    """Return (H, W, 3) BGR uint8; grey is repeated, 16 bits are rounded to 8. DataError where there is alpha."""
    return eight_bit_bgr(read_image(path), str(path))


def read_pair(sr: Image, path: Path, align: Align) -> Image:
    """Return a reference, (H, W, 3) BGR uint8 of the size of the SR image.

    Where it is larger, "equal" makes an error and "crop" cuts it at the right and the bottom.

    Raises:
        DataError: the reference cannot be read, or has another size.
    """
    gt = read_bgr(path)
    height, width = sr.shape[:2]
    if check_sizes((height, width), gt.shape[:2], align):
        return np.ascontiguousarray(gt[:height, :width])
    raise DataError(f"{path}: is {gt.shape[1]} x {gt.shape[0]} pixels and the SR image {width} x {height}")


def check_sizes(sr: tuple[int, ...], gt: tuple[int, ...], align: Align) -> bool:
    """Return whether a reference of this (height, width) can serve for an SR image of that one; see `read_pair`.

    Example:
        >>> check_sizes((40, 60), (42, 60), "equal"), check_sizes((40, 60), (42, 60), "crop")
        (False, True)
    """
    return sr == gt if align == "equal" else sr[0] <= gt[0] and sr[1] <= gt[1]
