"""Real-ESRGAN's degradation as one module: GT images and blur kernels in, LQ/GT pairs out, on any device.

Wang et al., Real-ESRGAN: Training Real-World Blind Super-Resolution with Pure Synthetic Data, ICCVW 2021. The draws
come from Python's, NumPy's and torch's global generators in the order of BasicSR's RealESRGANModel, so that equal seeds
give equal batches.
"""

import random
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any, NamedTuple

from prismsr.data.degradation.options import DegradationOptions
from prismsr.data.degradation.pool import Batch, TrainingPool
from prismsr.data.multi_gt.ground_truths import Choice, GroundTruths
from prismsr.utils.errors import UserError

import numpy as np
import torch
from basicsr.data.degradations import random_add_gaussian_noise_pt, random_add_poisson_noise_pt
from basicsr.data.transforms import paired_random_crop
from basicsr.utils import DiffJPEG, USMSharp
from basicsr.utils.img_process_util import filter2D
from torch import Tensor, nn
from torch.nn import functional as F

MODES = ("area", "bilinear", "bicubic")


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

    Where the images have several versions (MultiGTDataset), LQ is made of the original; all versions are cut at the
    same place, and the one that becomes gt is chosen before the pool, which so holds one ground truth for a sample.

    Args:
        options: the section `degradation` of the option file, validated.
        scale: upscaling factor of the task.

    Attributes:
        choice: picks a version by scores of the crops; None where the dataset picks.
    """

    def __init__(self, options: DegradationOptions, scale: int) -> None:
        super().__init__()
        self.options = options
        self.scale = scale
        # a copy, for all of BasicSR's DiffJPEG share their tables: moving one to a GPU would move those of the others
        self.jpeg = deepcopy(DiffJPEG(differentiable=False)).requires_grad_(False)
        self.sharpen = USMSharp() if options.gt_usm else None
        self.pool = TrainingPool(options.queue_size)
        self.choice: Choice | None = None
        self.orders = [_order(options, suffix) for suffix in ("", "2")[: options.orders]]

    @torch.no_grad()
    def forward(
        self,
        gt: Tensor,
        kernel1: Tensor,
        kernel2: Tensor | None = None,
        sinc_kernel: Tensor | None = None,
        gt_mask: Tensor | None = None,
        names: Sequence[str] = (),
        truths: GroundTruths | None = None,
    ) -> dict[str, Any]:
        """Make one batch of training pairs.

        Args:
            gt: (B, 3, H, W) RGB in [0, 1]; H and W multiples of scale and at least gt_size.
            kernel1: (B, k, k) blur kernels, k odd.
            kernel2: (B, k, k), needed with two orders.
            sinc_kernel: (B, k, k), needed with two orders.
            gt_mask: (B, 1, H, W) masks of the GT images, cut and mixed along with them.
            names: what the images are called in messages.
            truths: the versions of which gt is the original; one of them is chosen. Not together with gt_mask.

        Returns:
            lq (B, 3, gt_size / scale, gt_size / scale), gt (B, 3, gt_size, gt_size), gt_mask (B, 1, gt_size, gt_size)
            where masks came in, gt_usm, the sharpened gt, with the option gt_usm, and gt_path, the names. With
            negatives also gt_negative (B, 3, gt_size, gt_size) and negative_map (B, 1, gt_size, gt_size).

        Raises:
            UserError: images or kernels do not fit the options, the batch does not fit the pool, or there are versions
                but nothing to choose by.
        """
        self._require_fitting(gt, kernel2, sinc_kernel)
        gt = gt.contiguous()
        source = gt if self.sharpen is None else self.sharpen(gt)
        degraded, mode = self._first_order(source, kernel1)
        if kernel2 is None or sinc_kernel is None or len(self.orders) == 1:
            degraded = F.interpolate(degraded, size=self._lq_size(gt), mode=mode)
        else:
            degraded = self._second_order(degraded, kernel2, sinc_kernel, self._lq_size(gt))
        lq = torch.clamp((degraded * 255.0).round(), 0, 255) / 255.0
        pairs, names = self.pool.exchange(self._pairs(lq, gt, gt_mask, truths), names)
        if self.sharpen is not None:  # after the pool, since it gives back other images
            pairs["gt_usm"] = self.sharpen(pairs["gt"])
        result: dict[str, Any] = {name: value.contiguous() for name, value in pairs.items()}  # else DDP warns
        return {**result, "gt_path": names} if all(names) else result

    def batch(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """A loader's batch with LQ images, on the module's device; one without kernels (validation) as it is.

        Args:
            data: gt, kernel1 and perhaps kernel2, sinc_kernel, gt_mask and gt_path, see `forward`, and the fields of
                GroundTruths. Anything else is left out: the pool gives back other images.
        """
        if "kernel1" not in data:
            return dict(data)
        device = next(self.jpeg.parameters()).device
        names = ("gt", "kernel1", "kernel2", "sinc_kernel", "gt_mask")
        given: dict[str, Any]
        given, versions = (
            {name: data[name].to(device, non_blocking=True) for name in group if name in data}
            for group in (names, GroundTruths._fields)
        )
        if versions:
            given["truths"] = GroundTruths(**versions)
        pairs: dict[str, Any] = self(**given, names=data.get("gt_path", ()))
        return pairs

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
        if np.random.uniform() < (self.options.second_blur_prob or 0):
            image = filter2D(image, kernel)
        factor = random_factor(order)
        between = [int(side * factor) for side in size]
        image = add_noise(F.interpolate(image, size=between, mode=random.choice(MODES)), order)
        if np.random.uniform() < 0.5:
            image = filter2D(F.interpolate(image, size=size, mode=random.choice(MODES)), sinc_kernel)
            return self._compress(image, order)
        image = self._compress(image, order)
        return filter2D(F.interpolate(image, size=size, mode=random.choice(MODES)), sinc_kernel)

    def _compress(self, image: Tensor, order: Order) -> Tensor:
        quality = image.new_zeros(len(image)).uniform_(*order.jpeg_range)
        # DiffJPEG returns channels last, which the padding on the CPU keeps and BasicSR's filter2D does not take
        return self.jpeg(image.clamp(0, 1), quality=quality).contiguous()

    def _pairs(self, lq: Tensor, gt: Tensor, gt_mask: Tensor | None, truths: GroundTruths | None) -> Batch:
        if truths is None:
            return self._crop(lq, gt, {} if gt_mask is None else {"gt_mask": gt_mask})
        return truths.pairs(self._crop(lq, gt, truths.images()), self.choice)

    def _crop(self, lq: Tensor, gt: Tensor, others: Batch) -> Batch:
        # in a list of two even without others: BasicSR unwraps lists of one
        cut, lq = paired_random_crop([gt, *others.values(), gt], lq, self.options.gt_size, self.scale)
        return {"lq": lq, **dict(zip(("gt", *others), cut, strict=False))}

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
        """What a checkpoint needs besides the random generators' states: the pool, as plain tensors and numbers."""
        return {"pool": self.pool.state()}

    def load_training_state(self, state: Mapping[str, Any]) -> None:
        """Go on from what `training_state` returned.

        Raises:
            UserError: the state is of a pool of another size.
        """
        self.pool.load_state(state["pool"], next(self.jpeg.parameters()).device)


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
    """Gaussian or Poisson noise, drawn for the whole batch, its strength for each image; clipped to [0, 1]."""
    common: dict[str, Any] = {"gray_prob": order.gray_noise_prob, "clip": True, "rounds": False}
    if np.random.uniform() < order.gaussian_noise_prob:
        return random_add_gaussian_noise_pt(image, sigma_range=order.noise_range, **common)
    return random_add_poisson_noise_pt(image, scale_range=order.poisson_scale_range, **common)
