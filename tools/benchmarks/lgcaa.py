"""Benchmark `lgcaa`: the attention module beside the same maths with explicit matrices."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

from prismsr.archs.lgcaa import branch as lgcaa_branch
from prismsr.archs.lgcaa.options import LgcaaOptions
from prismsr.archs.lgcaa.sampling.options import SamplingOptions
from prismsr.archs.lgcaa.sampling.sampler import Sampler
from prismsr.tools.benchmarks.measure import give_memory_back

import torch
from basicsr.archs import build_network
from torch import Tensor

WIDTH, HEADS = 320, 5
"""Of SD-2's level with most tokens: its latents of 64 x 64 are 4,096."""
SIDES = (768, 2048)
NARROW: dict[str, Any] = {
    "base": {
        "path": None,
        "unet": {
            "block_out_channels": [32, 64],
            "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D"],
            "up_block_types": ["CrossAttnUpBlock2D", "UpBlock2D"],
            "layers_per_block": 1,
            "attention_head_dim": [2, 4],
            "cross_attention_dim": 64,
            "norm_num_groups": 8,
        },
        "vae": {"block_out_channels": [32, 64, 64, 64], "layers_per_block": 2, "norm_num_groups": 8},
    },
    "dino": {"config": {"embed_dim": 24, "depth": 2, "num_heads": 2, "img_size": 32, "patch_size": 8}, "size": 32},
}
"""SD-2's VAE with a quarter of its channels, and a UNet of two levels."""


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
    print("\nSampling in tiles of 64 latents, two steps, a narrow network with random weights: extra peak memory\n")
    small, large = (measure("lgcaa-sampling", 0, size=side, batch=1)["bytes"] / 1e6 for side in SIDES)
    print(
        f"{SIDES[0]} x {SIDES[0]}: {small:.0f} MB; {SIDES[1]} x {SIDES[1]}: {large:.0f} MB; ratio {large / small:.2f}"
    )


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


def build_sampling(side: int, device: torch.device) -> Callable[[], Tensor]:
    """Sampling of an image of side x side pixels, x4, in tiles, by a narrow network.

    Args:
        side: of the result, a multiple of 4.
        device: where to run.
    """
    give_memory_back()
    torch.manual_seed(0)
    net = build_network({"type": "LGCAANet", **deepcopy(NARROW)}).to(device).eval()
    sampler = Sampler(SamplingOptions(steps=2, vae_norm_stages=1), scale=4)  # each stage takes the same memory
    lq = torch.rand(1, 3, side // 4, side // 4, generator=torch.Generator().manual_seed(1)).to(device)

    def run() -> Tensor:
        return sampler(net, lq, torch.Generator().manual_seed(2)).mean()

    return run


def explicit_attention(q: Tensor, k: Tensor, v: Tensor, scale: float, mask: Tensor | None = None) -> Tensor:
    """softmax(scale * Q K^T) V as it is written, for (B, heads, N, d)."""
    logits = q @ k.transpose(-1, -2) * scale
    return (logits if mask is None else logits.masked_fill(~mask, -torch.inf)).softmax(-1) @ v
