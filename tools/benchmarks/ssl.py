"""Benchmark `self-similarity`: the loss beside the unfolded reference of the tests, and alone on larger batches."""

from collections.abc import Callable
from typing import Any

from prismsr.losses.self_similarity.self_similarity_loss import edge_mask, self_similarity_loss
from prismsr.tools.benchmarks.measure import format_megabytes, load_reference, measure

import torch
from torch import Tensor
from torch.nn import functional as F

REFERENCE = "losses/self_similarity/self_similarity_reference.py"


def compare_self_similarity(size: int, batch: int, repeat: int) -> None:
    """Print the comparisons.

    Args:
        size: side of the images in pixels.
        batch: images.
        repeat: runs of which the best counts.
    """
    print(f"\n{batch} photographs of {size}x{size}, value and gradient\n")
    print("| mask_stride | pixels | time: loss | reference | ratio | extra peak memory: loss | reference | ratio |")
    print("|---" * 8 + "|")
    for mask_stride in (1, 3):
        settings = {"size": size, "batch": batch, "mask_stride": mask_stride}
        print_beside(mask_stride, measure("ssl", repeat, **settings), measure("ssl-reference", 2, **settings))
    print("\nThe loss alone\n\n| batch | size | mask_stride | pixels | time | extra peak memory |\n" + "|---" * 6 + "|")
    for count, side, mask_stride in ((16, 128, 1), (16, 128, 3), (16, 512, 3)):
        alone = measure("ssl", 2, size=side, batch=count, mask_stride=mask_stride)
        cells = [count, side, mask_stride, alone["counted"], f"{alone['seconds']:.3f} s", format_megabytes(alone)]
        print(f"| {' | '.join(map(str, cells))} |", flush=True)
    if not torch.cuda.is_available():
        print("\nIts share of an ESRGAN training step is measured on CUDA only.")
        return
    step = measure("esrgan-step", 5, size=128, batch=16)["seconds"]
    loss = measure("ssl", 5, size=128, batch=16)["seconds"]
    print(f"\nAn ESRGAN step without it and without the VGG loss takes {step:.3f} s; it adds {loss / step:.0%}.")


def print_beside(mask_stride: int, loss: dict[str, Any], reference: dict[str, Any]) -> None:
    """Print a line of the comparison; say so if the values, which should be equal, are not."""
    times = f"{loss['seconds']:.3f} s | {reference['seconds']:.2f} s | {reference['seconds'] / loss['seconds']:.0f}"
    memory = (
        f"{format_megabytes(loss)} | {format_megabytes(reference)} | {reference['bytes'] / max(1, loss['bytes']):.0f}"
    )
    print(f"| {mask_stride} | {loss['counted']} | {times} | {memory} |", flush=True)
    difference = abs(loss["value"] - reference["value"]) / abs(reference["value"])
    if difference > 1e-5:
        print(f"The values differ by {difference:.1e}.")


def build_ssl(gt: Tensor, mask_stride: int, device: torch.device, reference: bool) -> tuple[Callable[[], Tensor], int]:
    """Return a function for the loss and its gradient of photographs enlarged by bicubic interpolation.

    Args:
        gt: (B, 3, H, H) in [0, 1].
        mask_stride: of the edge pixels, every such row and column.
        device: where to run.
        reference: the reference of the tests, by autograd.

    Returns:
        What is to be measured, and the number of edge pixels.
    """
    loss = load_reference(REFERENCE).reference_loss if reference else self_similarity_loss
    gt = gt.to(device)
    small = F.interpolate(gt, scale_factor=0.25, mode="bicubic", antialias=True)
    sr = F.interpolate(small, size=gt.shape[2:], mode="bicubic").clamp(0, 1)
    mask = edge_mask(gt)
    rows, columns = (torch.arange(gt.shape[-1], device=device) % mask_stride for _ in range(2))

    def run() -> Tensor:
        image = sr.clone().requires_grad_()
        value = loss(image, gt, mask, mask_stride=mask_stride)
        value.backward()
        return value

    return run, int((mask & (rows[:, None] == columns)).sum())
