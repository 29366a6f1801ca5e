"""Benchmark `elan`: ELAN with torch's fused attention beside the plain form, which holds the table q q^T."""

from collections.abc import Callable
from contextlib import nullcontext

from prismsr.archs.elan_arch import ELAN
from prismsr.tools.benchmarks.measure import crop_photographs, format_megabytes, measure

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import interpolate, l1_loss

_PLAIN = "-plain"
ELAN_WORKLOADS = tuple(f"elan-{what}{form}" for what in ("step", "image") for form in ("", _PLAIN))
"""Value and gradient of a training step, or an image alone; fused or plain."""


def compare_elan(size: int, batch: int, repeat: int) -> None:
    """Print time and extra peak memory of both forms, at full size with random weights.

    Args:
        size: side of the GT images in pixels, a multiple of 4.
        batch: images of a training step; an image alone is one.
        repeat: runs of which the best counts.
    """
    print(
        "\n| what | LQ | time: fused | plain | ratio | extra peak memory: fused | plain | ratio |\n" + "|---" * 8 + "|"
    )
    for what, images in (("step", batch), ("image", 1)):
        fused, plain = (measure(f"elan-{what}{form}", repeat, size=size, batch=images) for form in ("", _PLAIN))
        times = f"{fused['seconds']:.2f} s | {plain['seconds']:.2f} s | {plain['seconds'] / fused['seconds']:.2f}"
        memory = (
            f"{format_megabytes(fused)} | {format_megabytes(plain)} | {plain['bytes'] / max(1, fused['bytes']):.2f}"
        )
        print(f"| {what} | {images} x {size // 4} x {size // 4} | {times} | {memory} |", flush=True)
        if abs(fused["value"] - plain["value"]) > 1e-4 * abs(plain["value"]):
            print(f"The values differ: {fused['value']}, {plain['value']}.")


def build_elan(workload: str, size: int, batch: int, device: torch.device) -> Callable[[], Tensor]:
    """Return what is to be measured of one of ELAN_WORKLOADS; it returns the L1 loss."""
    torch.manual_seed(0)
    gt = crop_photographs(size, batch).to(device)
    lq = interpolate(gt, scale_factor=0.25, mode="bicubic", antialias=True)
    net, trains = ELAN().to(device), workload.startswith("elan-step")

    def run() -> Tensor:
        plain = sdpa_kernel(SDPBackend.MATH) if workload.endswith(_PLAIN) else nullcontext()
        with plain, torch.set_grad_enabled(trains):
            loss = l1_loss(net(lq), gt)
        if trains:
            loss.backward()
            net.zero_grad()
        return loss.detach()

    return run
