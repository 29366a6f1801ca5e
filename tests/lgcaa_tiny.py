"""LGCAA's network at a size for tests: real parts of diffusers and timm, random weights, 2.4 million parameters."""

import os
from typing import Any

import pytest

needs_half_precision = pytest.mark.skipif(
    os.environ.get("ATEN_CPU_CAPABILITY") in ("default", "avx2"),
    reason="torch's bfloat16 attention asks the CPU for AVX-512, not this variable, and then has no kernel",
)

LATENT = 8
"""Side of its latents; images are 8 times as large."""
CONTEXT = 48

UNET: dict[str, Any] = {
    "sample_size": LATENT,
    "block_out_channels": [32, 64, 64],
    "down_block_types": ["CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"],
    "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"],
    "layers_per_block": 1,
    "attention_head_dim": [2, 4, 4],
    "cross_attention_dim": CONTEXT,
    "norm_num_groups": 8,
}
VAE: dict[str, Any] = {"block_out_channels": [8, 8, 16, 16], "layers_per_block": 1, "norm_num_groups": 4}
DINO: dict[str, Any] = {
    "config": {"embed_dim": 24, "depth": 2, "num_heads": 2, "img_size": 32, "patch_size": 8},
    "size": 32,
}
BASE: dict[str, Any] = {"path": None, "unet": UNET, "vae": VAE, "condition_channels": [4, 8, 12, 24]}
NETWORK: dict[str, Any] = {"type": "LGCAANet", "base": BASE, "dino": DINO}
