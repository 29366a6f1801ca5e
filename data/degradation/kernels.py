"""Random blur kernels of Real-ESRGAN's degradation, made by BasicSR's functions from the global generators."""

import math
import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from prismsr.utils.rng import keep_generators

import numpy as np
import torch
from basicsr.data.degradations import circular_lowpass_kernel, random_mixed_kernels
from numpy.typing import NDArray
from torch import Tensor

SMALL = 13  # below this side a sinc filter must not cut off as low as a large one may


class KernelSettings(NamedTuple):
    """How the kernels of one order are drawn; the names are those of BasicSR's RealESRGANDataset."""

    blur_kernel_size: int
    kernel_range: Sequence[int]
    kernel_list: Sequence[str]
    kernel_prob: Sequence[float]
    blur_sigma: Sequence[float]
    betag_range: Sequence[float]
    betap_range: Sequence[float]
    sinc_prob: float

    @classmethod
    def read(cls, options: Mapping[str, Any], suffix: str = "") -> "KernelSettings":
        """Return the settings from a dataset's options; suffix "2" for the second order."""
        return cls(*(options[f"{name}{suffix}"] for name in cls._fields))

    def random_size(self) -> int:
        """Return an odd side from kernel_range, pixels."""
        low, high = self.kernel_range
        return random.choice(range(low, high + 1, 2))


def random_blur_kernel(settings: KernelSettings) -> Tensor:
    """Return a random blur kernel or sinc filter, (k, k) float32 with sum 1, k = blur_kernel_size."""
    size = settings.random_size()
    if np.random.uniform() < settings.sinc_prob:
        return _pad(_sinc(size, math.pi / (3 if size < SMALL else 5)), settings.blur_kernel_size)
    kernel = random_mixed_kernels(
        settings.kernel_list,
        settings.kernel_prob,
        size,
        settings.blur_sigma,
        settings.blur_sigma,
        [-math.pi, math.pi],
        settings.betag_range,
        settings.betap_range,
        noise_range=None,
    )
    return _pad(kernel, settings.blur_kernel_size)


def random_sinc_kernel(settings: KernelSettings, probability: float) -> Tensor:
    """Return a sinc filter with this probability, else the identity; (k, k), k = blur_kernel_size."""
    drawn = np.random.uniform() < probability
    return _pad(_sinc(settings.random_size(), math.pi / 3) if drawn else np.ones((1, 1)), settings.blur_kernel_size)


class ItemKernels(NamedTuple):
    """The kernels of one sample: of one order, or of two and the last sinc filter.

    The sides of the last filter are those of the second order, as in the HGGT release; BasicSR has one range for all.
    """

    first: KernelSettings
    second: KernelSettings | None
    final_sinc_prob: float

    @classmethod
    def read(cls, options: Mapping[str, Any]) -> "ItemKernels":
        """Return the settings from a dataset's options, all keys present; two orders where kernel_list2 is not None."""
        second = KernelSettings.read(options, "2") if options["kernel_list2"] else None
        return cls(KernelSettings.read(options), second, options["final_sinc_prob"] or 0)

    def draw(self) -> dict[str, Tensor]:
        """Return kernel1, and with two orders kernel2 and sinc_kernel, each (k, k); drawn in BasicSR's order."""
        kernels = {"kernel1": random_blur_kernel(self.first)}
        if self.second is not None:
            kernels["kernel2"] = random_blur_kernel(self.second)
            kernels["sinc_kernel"] = random_sinc_kernel(self.second, self.final_sinc_prob)
        return kernels


def _sinc(size: int, lowest: float) -> NDArray[np.float64]:
    return circular_lowpass_kernel(np.random.uniform(lowest, np.pi), size, pad_to=False)


def _pad(kernel: NDArray[np.float64], side: int) -> Tensor:
    result = torch.zeros(side, side)
    margin = (side - len(kernel)) // 2
    result[margin : side - margin, margin : side - margin] = torch.from_numpy(kernel)
    return result


@contextmanager
def global_generators_from(rng: np.random.Generator) -> Iterator[None]:
    """Seed Python's and NumPy's global generators from `rng`, and restore them afterwards.

    BasicSR's kernel functions draw from the global generators; inside, what they draw depends on `rng` alone.
    """
    seeds = rng.integers(2**32, size=2).tolist()
    with keep_generators():
        random.seed(seeds[0])
        np.random.seed(seeds[1])
        yield
