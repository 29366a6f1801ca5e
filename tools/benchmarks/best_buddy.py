"""Benchmark `best-buddy`: the best-buddy loss beside one that holds both tables of distances of the whole batch."""

from collections.abc import Callable

from prismsr.losses.best_buddy_loss import best_buddy_loss
from prismsr.tools.benchmarks.measure import format_megabytes, measure

import torch
from torch import Tensor
from torch.nn import functional as F

SIZE, BATCH = 192, 16
"""BebyGAN's crops and SSL's batch."""


def compare_best_buddy(repeat: int) -> None:
    """Print time and memory of both.

    Args:
        repeat: runs of which the best counts.
    """
    print(f"\n{BATCH} photographs of {SIZE}x{SIZE}, value and gradient\n")
    print("| | time | extra peak memory |\n|---|---|---|")
    values = []
    for name, workload in (("the loss", "best-buddy"), ("whole tables", "best-buddy-whole")):
        result = measure(workload, repeat, size=SIZE, batch=BATCH)
        values.append(result["value"])
        print(f"| {name} | {result['seconds']:.2f} s | {format_megabytes(result)} |", flush=True)
    print(f"\nThe values differ by {abs(values[0] / values[1] - 1):.1e} of them.")


def build_best_buddy(gt: Tensor, device: torch.device, whole: bool) -> Callable[[], Tensor]:
    """Return a function for the loss and its gradient of photographs enlarged by bicubic interpolation.

    Args:
        gt: (B, 3, H, H) in [0, 1].
        device: where to run.
        whole: with whole tables.
    """
    gt = gt.to(device)
    small = F.interpolate(gt, scale_factor=0.25, mode="bicubic", antialias=True)
    sr = F.interpolate(small, size=gt.shape[2:], mode="bicubic").requires_grad_()
    loss = _with_whole_tables if whole else best_buddy_loss

    def run() -> Tensor:
        sr.grad = None
        value = loss(sr, gt)
        value.backward()
        return value.detach()

    return run


def _with_whole_tables(sr: Tensor, gt: Tensor) -> Tensor:
    smaller = [F.interpolate(gt, scale_factor=scale, mode="bicubic", align_corners=False) for scale in (0.5, 0.25)]
    patches, aligned, *others = [F.unfold(images, 3, stride=3).transpose(1, 2) for images in (sr, gt, *smaller)]
    candidates = torch.cat([aligned, *others], 1)
    with torch.no_grad():
        chosen = (_distances(patches, candidates) + _distances(aligned, candidates)).argmin(2, keepdim=True)
    return F.l1_loss(patches, candidates.gather(1, chosen.expand(-1, -1, candidates.shape[2])))


def _distances(patches: Tensor, candidates: Tensor) -> Tensor:
    squares = patches.square().sum(2, keepdim=True) + candidates.square().sum(2)[:, None]
    return torch.baddbmm(squares, patches, candidates.mT, alpha=-2).clamp(0)
