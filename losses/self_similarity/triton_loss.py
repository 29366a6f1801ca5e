"""The self-similarity loss by Triton's kernels: where they run, and what they get at a time.

Paper: SSL, eq. 4.
"""

import math
import os
import shutil
import subprocess
import sys
import warnings
from functools import lru_cache

from prismsr.losses.self_similarity.sweep import EPS, Setting
from prismsr.losses.self_similarity.tiles import Tiling

import torch
from torch import Tensor

VARIABLE = "PRISMSR_SELF_SIMILARITY"
"""Environment variable: "triton" or "sweep" take these kernels or torch's operations whatever the device."""

OLDEST = (3, 3)
"""Triton whose compiler takes the kernels: tuples came with it."""

COLUMNS = 128
"""Of a row of the gradient, which a program gathers."""

PATCHES = 1 << 25
"""Values in the patches of one launch, 128 MB in float32: what the loss holds at a time whatever the batch."""

WIDEST, MOST_VALUES = 64, 31
"""Largest side of a patch, and of a window, that are compiled: what lies in registers grows with them."""


def takes_triton(images: Tensor, setting: Setting) -> bool:
    """Return whether the kernels make the loss: on CUDA, with Triton, if the search area is not too large.

    Raises:
        ValueError: the environment variable has another value than "triton" and "sweep".
    """
    asked = os.environ.get(VARIABLE, "")
    if asked not in ("", "triton", "sweep"):
        raise ValueError(f"environment variable {VARIABLE}: got {asked!r}; allowed: 'triton', 'sweep', or not set")
    if asked == "sweep" or (not asked and images.device.type != "cuda"):
        return False
    if triton_version() < OLDEST:
        return _tell(f"it wants Triton {'.'.join(map(str, OLDEST))} or newer (pip install triton; Linux only)")
    if not any(map(shutil.which, (os.environ.get("CC", "gcc"), "clang"))):
        return _tell("Triton wants a C compiler (gcc, clang, or what CC names)")
    plan = setting.plan
    if 2 * plan.halo >= WIDEST or plan.window > MOST_VALUES:
        return _tell(f"search {plan.search} with window {plan.window} is too large for its registers")
    return True


@lru_cache(maxsize=1)
def triton_version() -> tuple[int, ...]:
    """Return (0,) where it is not installed."""
    try:
        from triton import __version__ as version
    except ImportError:
        return (0,)
    return tuple(int(number) for number in version.split(".")[:2])


@lru_cache(maxsize=8)  # told once
def _tell(reason: str) -> bool:
    warnings.warn(f"SelfSimilarityLoss runs as torch's operations, many times slower on a GPU: {reason}.", stacklevel=2)
    return False


def try_kernels(
    sr: Tensor, gt: Tensor, mask: Tensor, setting: Setting, want_grad: bool
) -> tuple[Tensor, Tensor | None] | None:
    """Return what `compare_by_kernels` does, or None where they do not compile here: told once, not tried again.

    What lacks is seen only then, e.g. Python's headers, or the registers of an older GPU.
    """
    from triton import TritonError

    if _uncompiled:
        return None
    try:
        return compare_by_kernels(sr, gt, mask, setting, want_grad)
    except (TritonError, subprocess.CalledProcessError, OSError) as error:
        _uncompiled.append(True)
        _tell(f"Triton cannot compile its kernels here ({str(error).strip().rpartition(chr(10))[2]})")
        return None


_uncompiled: list[bool] = []


def compare_by_kernels(
    sr: Tensor, gt: Tensor, mask: Tensor, setting: Setting, want_grad: bool
) -> tuple[Tensor, Tensor | None]:
    """Return the loss, float64, and its gradient with respect to `sr` where it is wanted, without waiting for the GPU.

    Images are (B, C, H, W), the mask (B, 1, H, W) bool. The number of mask pixels is known on the GPU alone, so that as
    many launches are made as it can take at most.
    """
    from prismsr.losses.self_similarity.triton_kernel import compare_graphs, gather_patches

    plan, (batch, channels, height, width) = setting.plan, sr.shape
    scale = math.sqrt(2 / (channels * plan.window**2 * setting.h))
    tiling = Tiling(plan, height, width, area=sys.maxsize)
    canvas_sr, canvas_gt = (tiling.canvas(image * scale).contiguous() for image in (sr, gt))
    grad = torch.zeros_like(canvas_sr)
    lists = _MaskPixels(mask, setting.mask_stride)
    side = 2 * plan.halo + 1
    patch = channels * side * side
    most = min(len(lists.places), max(1, PATCHES // patch)) if want_grad else len(lists.places)
    programs = _count_programs(sr.device)
    values = sr.new_zeros(len(lists.places))
    patches = sr.new_empty(most * patch if want_grad else 1)
    scratch = sr.new_zeros(programs * (plan.search**2 + channels * plan.window**2))
    with torch.cuda.device_of(sr):
        for start in range(0, len(lists.places), most):
            part = (start, most, mask.numel(), height, width, channels)
            compare_graphs[(programs,)](
                *(canvas_sr, canvas_gt, lists.places, lists.before, values, patches, scratch, *part),
                *(plan.search, plan.window, plan.stride, plan.radius - plan.halo),
                *(setting.alpha, setting.kl_weight, EPS, math.log(EPS), want_grad),
                *(_power_of_2(columns) for columns in (len(plan.steps), plan.search, side)),
                num_warps=max(1, _power_of_2(side) // 8),
            )
            if want_grad:
                rows, columns = batch * canvas_sr.shape[2], -(-canvas_sr.shape[3] // COLUMNS)
                gather_patches[(rows, columns)](patches, lists.places, lists.before, grad, *part, side, COLUMNS)
    entries = lists.before[-1].clamp(min=1).double() * plan.neighbours
    value = values.sum(dtype=torch.float64) / entries
    return value, tiling.images(grad).mul_(scale).div_(entries) if want_grad else None


class _MaskPixels:
    """Mask pixels in row-major order: `places`, and how many there are `before` each position and the end."""

    def __init__(self, mask: Tensor, stride: int) -> None:
        batch, _, height, width = mask.shape
        most = batch * sum(len(range(k, height, stride)) * len(range(k, width, stride)) for k in range(stride))
        self.before = torch.zeros(mask.numel() + 1, dtype=torch.int32, device=mask.device)
        torch.cumsum(mask.flatten(), 0, dtype=torch.int32, out=self.before[1:])
        numbers = torch.arange(1, most + 1, dtype=torch.int32, device=mask.device)
        self.places = torch.searchsorted(self.before[1:], numbers, out_int32=True)  # where there are so many first


def _count_programs(device: torch.device) -> int:
    """Return as many as keep a GPU busy to the end; each takes its share of the mask pixels."""
    return 32 * torch.cuda.get_device_properties(device).multi_processor_count if device.type == "cuda" else 2


def _power_of_2(least: int) -> int:
    return 1 << (least - 1).bit_length()
