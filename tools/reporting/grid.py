"""How strong the grid is that enlarging leaves: a number in dB, as a metric for the demos' reports."""

from typing import Any

import numpy as np
from basicsr.utils.matlab_functions import imresize
from basicsr.utils.registry import METRIC_REGISTRY
from numpy.typing import NDArray

TILE = 64  # pixels; a multiple of the grid's period
NEAR, FAR = 2, 4  # neighbours of a frequency, in bins of a tile: what the window spreads is nearer


@METRIC_REGISTRY.register()
def calculate_grid(img: NDArray[Any], img2: NDArray[Any], crop_border: int = 0, scale: int = 4, **kwargs: Any) -> float:
    """Return how far the energy of SR minus bicubic at the grid's frequencies stands above its neighbours', in dB.

    Around 0 there is no grid.

    Args:
        img: BGR image in [0, 255], (H, W, 3).
        img2: ground truth of the same shape, of which the bicubic enlargement is made; sides are multiples of `scale`.
        crop_border: pixels left out at each edge.
        scale: period of the grid in pixels, a divisor of 64.
        kwargs: ignored (BasicSR hands every metric the same arguments).

    Raises:
        ValueError: the image without its border is smaller than 64 pixels.
    """
    bicubic = imresize(imresize(img2.astype(np.float64), 1 / scale), scale)
    added = (img.astype(np.float64) - bicubic).mean(axis=2)
    height, width = added.shape
    return measure_grid(added[crop_border : height - crop_border, crop_border : width - crop_border], scale)


def measure_grid(image: NDArray[np.float64], period: int = 4) -> float:
    """Return the mean energy at multiples of 1/period cycles per pixel over that of their neighbours, in dB.

    Args:
        image: (H, W) in grey levels.
        period: of the grid in pixels, a divisor of 64.

    Raises:
        ValueError: a side is smaller than 64 pixels.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> noise = rng.normal(size=(256, 256))
        >>> lines = np.tile([4.0, 0, 0, 0], (256, 64))
        >>> bool(abs(measure_grid(noise)) < 1 and measure_grid(noise + lines) > 10)
        True
    """
    if min(image.shape) < TILE:
        raise ValueError(f"a side of at least {TILE} pixels is needed; got {image.shape}")
    tiles = np.lib.stride_tricks.sliding_window_view(image, (TILE, TILE))[:: TILE // 2, :: TILE // 2]
    window = np.hanning(TILE + 1)[:-1]
    weights = np.outer(window, window)
    energy = (np.abs(np.fft.fft2(tiles * weights)) ** 2).mean(axis=(0, 1))
    energy += (weights**2).sum()  # of noise of one grey level: nobody sees what is weaker, as rounding
    steps = [step for step in range(-FAR, FAR + 1) if abs(step) >= NEAR]
    # neighbours along both axes: structures of photographs are strong along the axes, where most of the grid is as well
    near = np.mean([np.roll(energy, step, axis) for step in steps for axis in (0, 1)], axis=0)
    places = np.arange(0, TILE, TILE // period)
    ratio = (energy / near)[np.ix_(places, places)].flatten()[1:]  # without the image's mean
    return float(10 * np.log10(ratio.mean()))


calculate_grid.better = "lower"
