"""Real-ESRGAN's degradation as one module: GT images and blur kernels in, LQ/GT pairs out, on any device.

Wang et al., Real-ESRGAN: Training Real-World Blind Super-Resolution with Pure Synthetic Data, ICCVW 2021. The draws
come from Python's, NumPy's and torch's global generators in the order of BasicSR's RealESRGANModel, so that equal seeds
give equal batches.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any, NamedTuple, Protocol

from prismsr.data.degradation.noise import add_gaussian_noise, add_poisson_noise
from prismsr.data.degradation.options import DegradationOptions
from prismsr.data.degradation.pool import Batch, TrainingPool
from prismsr.utils.errors import UserError
from prismsr.utils.options.entries import find_registered
from prismsr.utils.options.problems import Problem
from prismsr.utils.options.sections import Opt, section

import numpy as np
import torch
from basicsr.data.transforms import paired_random_crop
from basicsr.utils import DiffJPEG, USMSharp
from basicsr.utils.img_process_util import filter2D
from torch import Tensor, nn
from torch.nn import functional as F

MODES = ("area", "bilinear", "bicubic")
KERNELS = ("kernel1", "kernel2", "sinc_kernel")
CLEAN = "lq_is_gt"  # in the pool: whether a sample is left as it was


class Pairing(Protocol):
    """Makes what is trained on of what was cut, for a dataset that gives several ground truths of an image.

    `takes` are the names of the tensors that it needs beside gt.
    """

    takes: Sequence[str]

    def __call__(self, cut: Batch, names: Sequence[str]) -> Batch:
        """Return lq, gt and what else goes into the pool, of lq, gt and all that the dataset gives, cut.

        `names` are what the samples are called in messages.
        """
        ...


class Order(NamedTuple):
    """The settings of one order of the degradation; see DegradationOptions."""

    resize_prob: Sequence[float]
    resize_range: Sequence[float]
    gaussian_noise_prob: float
    noise_range: Sequence[float]
    poisson_scale_range: Sequence[float]
    gray_noise_prob: float
    jpeg_range: Sequence[float]


class RealESRGANDegradation(nn.Module):
    """Degrade whole GT images, cut one patch from each, and mix the pairs in a training pool.

    Two orders (Real-ESRGAN): blur, resize, noise, JPEG; blur with some probability, resize, noise; then JPEG and the
    resize to 1 / scale with the sinc filter, in either sequence. One order (HGGT's one-stage degradation): blur,
    resize, noise, JPEG, resize to 1 / scale with the first resize's interpolation. The result is rounded to 8 bits.

    Tensors that the dataset gives of GT's height and width, such as masks, are cut at the same place; both these and
    others go through the pool with their samples.

    Args:
        options: the section `degradation` of the option file, validated.
        scale: upscaling factor of the task.
        along: names of the tensors beside gt and kernels that `batch` takes from the dataset.
        pairing: makes the training pairs of what was cut; None: they are what was cut.
    """

    def __init__(
        self, options: DegradationOptions, scale: int, along: Sequence[str] = (), pairing: Pairing | None = None
    ) -> None:
        super().__init__()
        self.options = options
        self.scale = scale
        self.along = (*along, *(pairing.takes if pairing else ()))
        self.pairing = pairing
        # a copy, for all of BasicSR's DiffJPEG share their tables: moving one to a GPU would move those of the others
        self.jpeg = deepcopy(DiffJPEG(differentiable=False)).requires_grad_(False)
        self.sharpen = USMSharp() if options.gt_usm else None
        self.pool = TrainingPool(options.queue_size)
        self.orders = [_order(options, suffix) for suffix in ("", "2")[: options.orders]]

    @torch.no_grad()
    def forward(
        self,
        gt: Tensor,
        kernel1: Tensor,
        kernel2: Tensor | None = None,
        sinc_kernel: Tensor | None = None,
        gt_path: Sequence[str] = (),
        **others: Tensor,
    ) -> dict[str, Any]:
        """Make one batch of training pairs.

        Args:
            gt: (B, 3, H, W) RGB in [0, 1]; H and W multiples of scale and at least gt_size.
            kernel1: (B, k, k) blur kernels, k odd.
            kernel2: (B, k, k), needed with two orders.
            sinc_kernel: (B, k, k), needed with two orders.
            gt_path: what the images are called in messages.
            others: (B, ..., H, W), cut along with the GT images, or (B, ...) of fewer than four dimensions.

        Returns:
            lq (B, 3, gt_size / scale, gt_size / scale) in [0, 1], of gt's size with the option enlarge;
            gt (B, 3, gt_size, gt_size); others, or what the pairing makes of all these; gt_usm, the sharpened gt, with
            the option gt_usm; and gt_path.

        Raises:
            UserError: images or kernels do not fit the options, the batch does not fit the pool, or the pairing lacks
                something.
        """
        self._require_fitting(gt, kernel2, sinc_kernel)
        gt = gt.contiguous()
        source = gt if self.sharpen is None else self.sharpen(gt)
        if self.options.gt_usm == "target":
            gt = source
        degraded, mode = self._first_order(source, kernel1)
        if kernel2 is None or sinc_kernel is None or len(self.orders) == 1:
            degraded = F.interpolate(degraded, size=self._lq_size(gt), mode=mode)
        else:
            degraded = self._second_order(degraded, kernel2, sinc_kernel, self._lq_size(gt))
        pairs = self._crop(self._finish(degraded), gt, others)
        if self.pairing is not None:
            pairs = self.pairing(pairs, gt_path)
        return self._exchange(pairs, gt_path)

    def batch(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Return a loader's batch with LQ images, on the module's device; one without kernels (validation) as it is.

        Args:
            data: gt, kernel1 and perhaps kernel2, sinc_kernel, gt_path and the tensors of `along`, see `forward`.
                Anything else is left out: the pool gives back other images.
        """
        if "kernel1" not in data:
            return dict(data)
        device = next(self.jpeg.parameters()).device
        names = [name for name in ("gt", *KERNELS, *self.along) if isinstance(data.get(name), Tensor)]
        given = {name: data[name].to(device, non_blocking=True) for name in names}
        return self(**given, gt_path=data.get("gt_path", ()))

    def _exchange(self, pairs: Batch, gt_path: Sequence[str]) -> dict[str, Any]:
        """Hand pairs to the pool, and finish those that it gives back."""
        if self.options.no_degradation_prob:
            clean = random.random() < self.options.no_degradation_prob
            pairs[CLEAN] = torch.full((len(pairs["gt"]),), clean, device=pairs["gt"].device)
        pairs, names = self.pool.exchange(pairs, gt_path)
        if self.options.enlarge:
            pairs["lq"] = _enlarge(pairs["lq"], pairs["gt"], pairs.pop(CLEAN, None))
        if self.sharpen is not None:  # after the pool, since it gives back other images
            pairs["gt_usm"] = pairs["gt"] if self.options.gt_usm == "target" else self.sharpen(pairs["gt"])
        result: dict[str, Any] = {name: value.contiguous() for name, value in pairs.items()}  # else DDP warns
        return {**result, "gt_path": names} if all(names) else result

    def _lq_size(self, gt: Tensor) -> tuple[int, int]:
        return gt.shape[2] // self.scale, gt.shape[3] // self.scale

    def _first_order(self, image: Tensor, kernel: Tensor) -> tuple[Tensor, str]:
        order = self.orders[0]
        image = filter2D(image, kernel)
        factor = random_factor(order)
        mode = random.choice(MODES)
        image = add_noise(F.interpolate(image, scale_factor=factor, mode=mode), order)
        return self._compress(image, order), mode

    def _second_order(self, image: Tensor, kernel: Tensor, sinc_kernel: Tensor, size: tuple[int, int]) -> Tensor:
        order = self.orders[1]
        if self.options.second_order_prob == 1 or random.random() < self.options.second_order_prob:
            image = self._second_blur(image, kernel, size)
        if np.random.uniform() < 0.5:
            image = filter2D(F.interpolate(image, size=size, mode=random.choice(MODES)), sinc_kernel)
            return self._compress(image, order)
        image = self._compress(image, order)
        return filter2D(F.interpolate(image, size=size, mode=random.choice(MODES)), sinc_kernel)

    def _second_blur(self, image: Tensor, kernel: Tensor, size: tuple[int, int]) -> Tensor:
        """Blur with some probability, resize and add noise."""
        order = self.orders[1]
        if np.random.uniform() < (self.options.second_blur_prob or 0):
            image = filter2D(image, kernel)
        factor = random_factor(order)
        between = [int(side * factor) for side in size]
        return add_noise(F.interpolate(image, size=between, mode=random.choice(MODES)), order)

    def _finish(self, lq: Tensor) -> Tensor:
        if not self.options.round_lq:
            return lq.clamp(0, 1)
        return torch.clamp((lq * 255.0).round(), 0, 255) / 255.0

    def _compress(self, image: Tensor, order: Order) -> Tensor:
        """Compress by DiffJPEG, whose own `forward` waits for the quality of each image."""
        quality = image.new_zeros(len(image)).uniform_(*order.jpeg_range)
        factor = torch.where(quality < 50, 5000.0 / quality, 200.0 - quality * 2) / 100.0
        height, width = image.shape[2:]
        padded = F.pad(image.clamp(0, 1), (0, -width % 16, 0, -height % 16))
        planes = self.jpeg.compress(padded, factor=factor)
        result: Tensor = self.jpeg.decompress(*planes, *padded.shape[2:], factor=factor)
        # channels come last, which the padding on the CPU keeps and BasicSR's filter2D does not take
        return result[:, :, :height, :width].contiguous()

    def _crop(self, lq: Tensor, gt: Tensor, others: Batch) -> Batch:
        images = {"gt": gt, **{name: value for name, value in others.items() if _is_image(name, value, gt)}}
        planes = [image.reshape(len(image), -1, *gt.shape[2:]) for image in images.values()]
        # gt a second time: BasicSR unwraps lists of one
        cut, lq = paired_random_crop([*planes, gt], lq, self.options.gt_size, self.scale)
        parts = zip(images.items(), cut, strict=False)
        return {
            "lq": lq,
            **others,
            **{name: part.reshape(*image.shape[:-2], *part.shape[-2:]) for (name, image), part in parts},
        }

    def _require_fitting(self, gt: Tensor, kernel2: Tensor | None, sinc_kernel: Tensor | None) -> None:
        height, width = gt.shape[2:]
        if height % self.scale or width % self.scale or min(height, width) < self.options.gt_size:
            raise UserError(
                f"The GT images are {width}x{height}; they must be multiples of scale, {self.scale}, and at least as "
                f"large as degradation.gt_size, {self.options.gt_size} (see datasets.train.crop_pad_size)."
            )
        if len(self.orders) == 2 and (kernel2 is None or sinc_kernel is None):
            raise UserError(
                "degradation.orders is 2, but the dataset gives no kernel2 and sinc_kernel: it needs kernel_list2 with "
                "its settings, and final_sinc_prob."
            )

    def training_state(self) -> dict[str, Any]:
        """Return what a checkpoint needs besides the states of generators: the pool, as plain tensors and numbers."""
        return {"pool": self.pool.state()}

    def load_training_state(self, state: Mapping[str, Any]) -> None:
        """Go on from what `training_state` returned; UserError where it is of a pool of another size."""
        self.pool.load_state(state["pool"], next(self.jpeg.parameters()).device)


def _enlarge(lq: Tensor, gt: Tensor, clean: Tensor | None) -> Tensor:
    """Return LQ images at GT's size, in [0, 1], and GT for those that are clean, (B,) of bool.

    Each sample is enlarged by itself, so that after the pool it is what it would be before; the pool stays small.
    """
    lq = F.interpolate(lq, gt.shape[-2:], mode="bicubic").clamp(0, 1)
    return lq if clean is None else torch.where(clean[:, None, None, None], gt, lq)


def _is_image(name: str, value: Tensor, gt: Tensor) -> bool:
    """Return whether a tensor has GT's height and width; UserError where it is one of images, but of another size."""
    if value.shape[-2:] == gt.shape[-2:]:
        return True
    if value.ndim >= 4:
        sizes = ["x".join(map(str, part.shape[:-3:-1])) for part in (value, gt)]
        raise UserError(
            f"The dataset gives {name} of {sizes[0]} pixels, but gt of {sizes[1]}: with the section degradation they "
            "must be of one size, since both are cut at the same place."
        )
    return False


def _order(options: DegradationOptions, suffix: str) -> Order:
    return Order(*(getattr(options, f"{name}{suffix}") for name in Order._fields))


def random_factor(order: Order) -> float:
    """Scale factor of a random resize: larger, smaller or 1."""
    low, high = order.resize_range
    kind = random.choices(("up", "down", "keep"), order.resize_prob)[0]
    if kind == "keep":
        return 1
    return float(np.random.uniform(1, high) if kind == "up" else np.random.uniform(low, 1))


def add_noise(image: Tensor, order: Order) -> Tensor:
    """Return Gaussian or Poisson noise, drawn for the whole batch, its strength for each image; clipped to [0, 1]."""
    if np.random.uniform() < order.gaussian_noise_prob:
        return add_gaussian_noise(image, order.noise_range, order.gray_noise_prob)
    return add_poisson_noise(image, order.poisson_scale_range, order.gray_noise_prob)


def build_degradation(opt: Mapping[str, Any], device: torch.device | str = "cpu") -> RealESRGANDegradation | None:
    """Build the degradation that an option file asks for; None where it has no section `degradation`.

    The class of datasets.train may declare `GIVES`, the names of what goes along with gt to the losses, and
    `build_pairing(opt, device)`, which returns a Pairing.

    Args:
        opt: the whole option file; `degradation`, `scale` and `datasets.train` are read, and what the pairing reads.
        device: where it works.
    """
    if opt.get("degradation") is None:
        return None
    options = DegradationOptions.model_validate(opt["degradation"])
    train = (opt.get("datasets") or {}).get("train") or {}
    dataset = find_registered("dataset", str(train.get("type")))
    build_pairing = getattr(dataset, "build_pairing", None)
    pairing = None if build_pairing is None else build_pairing(opt, device)
    along = [name for name in getattr(dataset, "GIVES", ()) if name not in ("gt", *KERNELS)]
    return RealESRGANDegradation(options, opt["scale"], along, pairing).to(device)


def check_lq_source(entry: Opt, key: str, opt: Opt, is_train: bool) -> Iterator[Problem]:
    """Check that something makes the LQ images; the hook of models that have the section `degradation`."""
    dataset = section(opt, "datasets", "train") if is_train and opt.get("degradation") is None else {}
    if "kernel_list" in dataset and "dataroot_lq" not in dataset:
        text = "is required: datasets.train gives GT images and blur kernels, but no LQ images"
        yield Problem("degradation", text)
