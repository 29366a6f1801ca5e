"""Which patches of an image and its enhanced versions are worth keeping: HGGT's rule (Human Guided Ground-truth, 2023).

Corners lie on a grid with a random start and a little jitter; a patch stays where any of its versions has contrast and
detail.

Paper: AMO, after HGGT.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from zlib import crc32

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

START_LIMITS = ((2400, 128), (1200, 64), (0, 32))
"""A side of at least so many pixels: the largest start of the grid along it."""


@dataclass(frozen=True)
class PatchRule:
    """How patches are placed and chosen; the defaults are HGGT's.

    Attributes:
        crop: side of a patch in pixels.
        step: pixels from one patch to the next.
        jitter: largest shift of a single patch, in pixels, up, down, left and right.
        std: standard deviation of the grey levels (0..255) that a version needs.
        laplacian: variance of its 8-bit Laplacian that the same version needs.
        keep_all: keep every patch, whatever is in it.
    """

    crop: int = 512
    step: int = 288
    jitter: int = 16
    std: float = 30.0
    laplacian: float = 30.0
    keep_all: bool = False


@dataclass(frozen=True)
class PatchFigures:
    """What was measured of one patch; a version's figures stand at its index, the original first.

    Attributes:
        stds: standard deviation of the grey levels of each version.
        laplacians: variance of the 8-bit Laplacian of each version.
        difference: largest |mean(original - enhanced)| of the enhanced versions, in levels of 0..255.
    """

    stds: tuple[float, ...]
    laplacians: tuple[float, ...]
    difference: float

    def passes(self, std: float, laplacian: float) -> bool:
        """Return whether any version has both, contrast and detail."""
        pairs = zip(self.stds, self.laplacians, strict=True)
        return any(own_std >= std and own_laplacian >= laplacian for own_std, own_laplacian in pairs)


def make_image_rng(seed: int, key: str) -> np.random.Generator:
    """Return random stream of one image, whatever process takes it and when."""
    return np.random.default_rng([seed, crc32(key.encode("utf8", "surrogateescape"))])


def start_limit(side: int, crop: int) -> int:
    """Return largest start of the grid along a side: 128, 64 or 32 pixels, and never so large that no patch fits.

    The last part is ours: the release may lose a small image by its start alone.
    """
    limit = next(limit for least, limit in START_LIMITS if side >= least)
    return max(min(limit, side - crop), 0)


def place_patches(height: int, width: int, rule: PatchRule, rng: np.random.Generator) -> list[tuple[int, int]]:
    """Return top left corners (row, column) of the candidates of an image, row by row.

    The grid starts at U{0..start_limit} on each axis; each patch is shifted by U{-jitter..jitter} on each axis, not
    beyond 0; a patch that leaves the image at the bottom or the right is left out. The order of the draws is ours, so
    that the release's own patches lie elsewhere.
    """
    top, left = (int(rng.integers(start_limit(side, rule.crop) + 1)) for side in (height, width))
    grid = [(row, column) for row in range(top, height, rule.step) for column in range(left, width, rule.step)]
    shifts = rng.integers(-rule.jitter, rule.jitter, size=(len(grid), 2), endpoint=True)
    shifted = np.maximum(np.asarray(grid) + shifts, 0).tolist()
    fitting = [(row, column) for row, column in shifted if row + rule.crop <= height and column + rule.crop <= width]
    return list(dict.fromkeys(fitting))  # with a small step the jitter may put two patches on one place


def measure_patch(versions: Sequence[NDArray[np.uint8]]) -> PatchFigures:
    """Measure one patch in its versions, (H, W, 3) BGR each, the original first; all of one size."""
    grey = [_grey(version) for version in versions]
    original = versions[0].mean()
    return PatchFigures(
        stds=tuple(float(image.std()) for image in grey),
        # CV_8U cuts the negative half off; so does the release
        laplacians=tuple(float(cv2.Laplacian(image, cv2.CV_8U).var()) for image in grey),
        difference=max((abs(float(original - version.mean())) for version in versions[1:]), default=0.0),
    )


def is_kept(figures: PatchFigures, rule: PatchRule) -> bool:
    """Return whether a patch stays."""
    return rule.keep_all or figures.passes(rule.std, rule.laplacian)


def _grey(image: NDArray[np.uint8]) -> NDArray[Any]:
    """Return (H, W) uint8 by PIL's mode L, as the release has it."""
    return np.asarray(Image.fromarray(np.ascontiguousarray(image[..., ::-1])).convert("L"))
