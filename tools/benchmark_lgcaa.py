"""Benchmark `lgcaa`: the attention module beside the same maths with explicit matrices."""

from collections.abc import Callable
from typing import Any

from prismsr.archs import lgcaa_branch
from prismsr.archs.lgcaa_options import LgcaaOptions

import torch
from torch import Tensor

WIDTH, HEADS = 320, 5
"""Of SD-2's widest level; its latents of 64 x 64 are 4,096 tokens."""


def lgcaa(repeat: int, measure: Callable[..., dict[str, Any]]) -> None:
    """Print the comparison.

    Args:
        repeat: runs of which the best counts.
        measure: runs a workload in a process of its own; tools/benchmark_measure.py has it.
    """
    print(f"\nThe LGCAA module, {WIDTH} channels, {HEADS} heads, float32, output and gradient; best of {repeat}\n")
    print(
        "| tokens | time: module | explicit | ratio | extra peak memory: module | explicit | ratio |\n"
        + "|---" * 7
        + "|"
    )
    for side in (32, 64):
        module, explicit = (measure(name, repeat, size=side, batch=1) for name in ("lgcaa", "lgcaa-explicit"))
        times = (
            f"{module['seconds']:.3f} s | {explicit['seconds']:.3f} s | {explicit['seconds'] / module['seconds']:.1f}"
        )
        sizes = f"{module['bytes'] / 1e6:.0f} MB | {explicit['bytes'] / 1e6:.0f} MB"
        print(f"| {side**2:,} | {times} | {sizes} | {explicit['bytes'] / max(1, module['bytes']):.1f} |", flush=True)
        difference = abs(module["value"] - explicit["value"]) / abs(explicit["value"])
        if difference > 1e-4:
            print(f"The values differ by {difference:.1e}.")


def build_lgcaa(side: int, batch: int, device: torch.device, explicit: bool) -> Callable[[], Tensor]:
    """Output and gradient of one module, preset default.

    Args:
        side: of the latents; the tokens are side * side.
        batch: images.
        device: where to run.
        explicit: with the N x N matrices of both attentions in memory.
    """
    torch.manual_seed(0)
    branch = lgcaa_branch.LGCAABranch(WIDTH, HEADS, LgcaaOptions()).to(device)
    generator = torch.Generator().manual_seed(1)
    tokens, probe = torch.randn(2, batch, side * side, WIDTH, generator=generator).to(device)
    if explicit:
        lgcaa_branch.attention = explicit_attention

    def run() -> Tensor:
        x = tokens.clone().requires_grad_()
        merged = branch.merged(x)  # the MLP's last layer is zero as yet
        (merged * probe).sum().backward()
        assert x.grad is not None
        return x.grad.square().mean()

    return run


def explicit_attention(q: Tensor, k: Tensor, v: Tensor, scale: float, mask: Tensor | None = None) -> Tensor:
    """softmax(scale * Q K^T) V as it is written, for (B, heads, N, d)."""
    logits = q @ k.transpose(-1, -2) * scale
    return (logits if mask is None else logits.masked_fill(~mask, -torch.inf)).softmax(-1) @ v
