"""Degraded LR images of whole GT images, each from its own random stream, so that they depend on nothing else."""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from prismsr.data.degradation.bsrgan import degrade_bsrgan
from prismsr.data.degradation.bsrgan_options import BSRGANRanges
from prismsr.data.degradation.kernel_options import KernelOptions
from prismsr.data.degradation.kernels import ItemKernels, global_generators_from
from prismsr.data.degradation.options import DegradationOptions
from prismsr.data.degradation.real_esrgan import RealESRGANDegradation
from prismsr.utils.errors import DataError, OptionError
from prismsr.utils.images import read_image, write_png_atomic
from prismsr.utils.options.files import load_options
from prismsr.utils.places import OPTIONS

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ValidationError
from torch import Tensor
from torch.nn import functional as F

RECIPES = {
    "hggt": "_base_/degradation_hggt.yml",
    "hggt-one-order": "_base_/degradation_hggt_one_order.yml",
    "realesrgan": "_base_/degradation_realesrgan.yml",
    "sfd": "sfd/rrdb_sfd_real_x4.yml",
}
"""Option files below options/ that a name stands for; any other option file with a degradation can be named."""

_SSL_KERNELS = {"kernel_list": ["iso", "aniso"], "kernel_prob": [0.7, 0.3], "blur_kernel_size": 9, "sinc_prob": 0.01}
_SSL: dict[str, Any] = {
    "datasets": {
        "train": {
            **_SSL_KERNELS,
            **{"kernel_range": [3, 7], "blur_sigma": [0.1, 0.4], "betag_range": [0.1, 0.7], "betap_range": [0.1, 0.7]},
            **{f"{name}2": value for name, value in _SSL_KERNELS.items()},
            **{"kernel_range2": [3, 5], "blur_sigma2": [0.1, 0.3], "betag_range2": [0.1, 0.5]},
            **{"betap_range2": [0.1, 0.5], "final_sinc_prob": 0.1},
        }
    },
    "degradation": {
        **{"orders": 2, "gt_size": 4, "resize_prob": [0.1, 0.85, 0.05], "resize_range": [0.8, 1.1]},
        **{"gaussian_noise_prob": 0.5, "noise_range": [1, 8], "poisson_scale_range": [0.05, 0.5]},
        **{"gray_noise_prob": 0.2, "jpeg_range": [87, 95], "second_blur_prob": 0.8},
        **{"resize_prob2": [0.1, 0.85, 0.05], "resize_range2": [0.8, 1.1], "gaussian_noise_prob2": 0.5},
        **{"noise_range2": [0, 5], "poisson_scale_range2": [0, 0.4], "gray_noise_prob2": 0.2, "jpeg_range2": [90, 95]},
    },
}
"""The Real-ESRGAN part of the SSL release's test degradation."""
_SSL_SECOND_ORDER = 0.2
_SSL_BSRGAN_SHARE = 0.4
SSL_BSRGAN = BSRGANRanges(
    aniso_prob=0.3,
    aniso_variance=[1, 0],  # 0.2 + 0.2 * 4: the release has the scale fixed there
    iso_sigma=[1, 0],
    blur_sizes=[3, 11],
    resize_factor=[0.75, 1],
    sample_sizes=[3, 11],
    sample_sigma=[0, 0.25],
    noise_levels=[1, 10],
    jpeg_range=[85, 95],
)
"""The BSRGAN part of the SSL release's test degradation."""


class Recipe(NamedTuple):
    """A degradation.

    Attributes:
        scale: GT size / LR size.
        kernels: how the blur kernels are drawn.
        one: the degradation with its first order alone, None where there always is a second.
        two: with both; None where there never is a second.
        second_order, bsrgan: probabilities of the second order, and of BSRGAN's degradation in its place.
    """

    scale: int
    kernels: ItemKernels
    one: "WholeImages | None"
    two: "WholeImages | None"
    second_order: float
    bsrgan: float


class WholeImages(RealESRGANDegradation):
    """The degradation of the training step for an image of any size, without crop and pool."""

    @torch.no_grad()
    def degrade(self, gt: Tensor, kernels: Mapping[str, Tensor]) -> Tensor:
        """Return LR image (1, 3, H / scale, W / scale), rounded to 8 bits, in [0, 1], of RGB (1, 3, H, W) in [0, 1].

        GT's sides are multiples of scale; `kernels` are kernel1 and, with two orders, kernel2 and sinc_kernel, (1, k,
        k) each.
        """
        size = self._lq_size(gt)
        source = gt if self.sharpen is None else self.sharpen(gt)
        image, mode = self._first_order(source, kernels["kernel1"])
        if len(self.orders) == 2:
            image = self._second_order(image, kernels["kernel2"], kernels["sinc_kernel"], size)
        else:
            image = F.interpolate(image, size=size, mode=mode)
        return torch.clamp((image * 255.0).round(), 0, 255) / 255.0


@lru_cache(maxsize=4)
def read_recipe(name: str, scale: int) -> Recipe:
    """Return the degradation of this name: "ssl" (see docs/guide/testsets.md), a key of RECIPES, or an option file.

    OptionError where there is no such name or file, or the file cannot be read or has no degradation.
    """
    options = deepcopy(_SSL) if name == "ssl" else _recipe_file(name)
    train, section = (options.get("datasets") or {}).get("train"), options.get("degradation")
    if not train or not section or "kernel_list" not in train:
        raise OptionError(f"--recipe {name}: that file has no degradation (datasets.train.kernel_list and degradation)")
    try:
        kernels = KernelOptions.read({**train, "name": "test", "type": "test"})
        two = DegradationOptions.model_validate(section)
        one = DegradationOptions.model_validate(_first_alone(section))
    except ValidationError as error:
        raise OptionError(f"--recipe {name}: {error}") from error
    share = _SSL_SECOND_ORDER if name == "ssl" else float(two.orders == 2)
    return Recipe(
        scale,
        ItemKernels.read(kernels.model_dump()),
        WholeImages(one, scale) if share < 1 else None,
        WholeImages(two, scale) if share > 0 else None,
        share,
        _SSL_BSRGAN_SHARE if name == "ssl" else 0.0,
    )


def _recipe_file(name: str) -> dict[str, Any]:
    path = OPTIONS / RECIPES[name] if name in RECIPES else Path(name)
    if not path.is_file():
        known = ", ".join(["ssl", *RECIPES])
        raise OptionError(f"--recipe {name}: allowed are {known}, or an option file with a degradation")
    return load_options(path)


def _first_alone(section: Mapping[str, Any]) -> dict[str, Any]:
    first = {key: value for key, value in section.items() if not key.endswith("2") and key != "second_blur_prob"}
    return {**first, "orders": 1}


def random_stream(seed: int, key: str, number: int) -> np.random.Generator:
    """Return the random stream of an image's LR image `number`: of these three alone."""
    digest = hashlib.sha256(key.encode("utf8", "surrogateescape")).digest()
    return np.random.default_rng([seed, number, int.from_bytes(digest[:8], "big")])


def degrade(gt: Tensor, recipe: Recipe, rng: np.random.Generator) -> Tensor:
    """Return one LR image (1, 3, h, w) of a GT image (1, 3, H, W), both RGB in [0, 1].

    The global random generators are seeded from `rng`, and are afterwards as they were.
    """
    if rng.random() < recipe.bsrgan:
        image = degrade_bsrgan(gt[0].permute(1, 2, 0).double().numpy(), recipe.scale, rng, SSL_BSRGAN)
        return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1), np.float32)).unsqueeze(0)
    with global_generators_from(rng):
        torch.default_generator.manual_seed(int(rng.integers(2**63)))
        second = np.random.uniform() < recipe.second_order
        kernels = {name: kernel.unsqueeze(0) for name, kernel in recipe.kernels.draw().items()}
        net = recipe.two if second else recipe.one
        assert net is not None
        return net.degrade(gt, kernels)


def write_degraded(path: Path, key: str, output: Path, scale: int, recipe: str, number: int, seed: int) -> int:
    """Write `number` LR images of one GT image, unless they exist; return the number of files written.

    They are named KEY.png where `number` is 1, else KEY+00.png, KEY+01.png, ... `seed` is of the random streams.

    Raises:
        DataError: the GT image cannot be read or its sides are no multiples of the scale.
    """
    names = [f"{key}.png"] if number == 1 else [f"{key}+{index:02}.png" for index in range(number)]
    targets = {index: output / name for index, name in enumerate(names) if not (output / name).exists()}
    if not targets:
        return 0
    gt = _rgb(read_image(path))
    if gt.shape[2] % scale or gt.shape[3] % scale:
        raise DataError(f"{path}: {gt.shape[2]} x {gt.shape[3]} pixels (height x width), no multiples of {scale}")
    with _one_thread():
        for index, target in targets.items():
            lr = degrade(gt, read_recipe(recipe, scale), random_stream(seed, key, index))
            array = (lr[0] * 255.0).round().to(torch.uint8).permute(1, 2, 0).numpy()
            write_png_atomic(target, np.ascontiguousarray(array[..., ::-1]))
    return len(targets)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Compute as worker processes do: other numbers of threads round sums otherwise, and some pixels with them."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _rgb(image: NDArray[Any]) -> Tensor:
    """Return (1, 3, H, W) in [0, 1] of an image as it was read: BGR, grey or with alpha; 8 or 16 bits."""
    scaled = image.astype(np.float32) / np.iinfo(image.dtype).max
    colour = np.repeat(scaled[..., None], 3, 2) if scaled.ndim == 2 else scaled[..., 2::-1]
    return torch.from_numpy(np.ascontiguousarray(colour.transpose(2, 0, 1))).unsqueeze(0)
