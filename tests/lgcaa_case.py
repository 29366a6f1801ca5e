"""A tiny LGCAAModel for tests."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from basicsr.models import build_model
from basicsr.utils import set_random_seed
from lgcaa_tiny import BASE, DINO
from torch import Tensor

BLOCKS = {
    "sample_size": 8,
    "block_out_channels": [16, 32],
    "down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"],
    "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D"],
    "layers_per_block": 1,
    "attention_head_dim": [2, 4],
    "cross_attention_dim": 32,
    "norm_num_groups": 8,
}
NETWORK = {"type": "LGCAANet", "base": {**BASE, "unet": BLOCKS}, "dino": DINO, "rgb": "pixelshuffle"}
WHOLE = {
    "type": "LGCAANet",
    "base": {
        "path": None,
        "unet": {
            "sample_size": 8,
            "block_out_channels": [32],
            "down_block_types": ["CrossAttnDownBlock2D"],
            "up_block_types": ["CrossAttnUpBlock2D"],
            "layers_per_block": 1,
            "attention_head_dim": [2],
            "cross_attention_dim": 16,
            "norm_num_groups": 8,
        },
        "vae": {
            "block_out_channels": [16, 16],
            "down_block_types": ["DownEncoderBlock2D"] * 2,
            "up_block_types": ["UpDecoderBlock2D"] * 2,
            "layers_per_block": 1,
            "norm_num_groups": 4,
        },
        "condition_channels": [8, 16],
    },
    "dino": DINO,
    "rgb": None,
    "train_pattern": [
        *("conv_in", "time_embedding", "down_blocks", "mid_block", "up_blocks", "conv_norm_out", "conv_out"),
    ],
}
"""Trained as a whole, since it begins at random; it reduces by 2."""
LOSSES = {
    "l_noise": {"type": "NoiseLoss"},
    "l_percep": {"type": "LPIPSLoss", "backbone": "st_alexnet", "loss_weight": 2.0},
    "l_dist": {"type": "PixelDistributionLoss", "loss_weight": 0.3},
}
SSL = {
    "l_ssl": {"type": "SelfSimilarityLoss", "search": 7, "window": 3},
    "l_pix": {"type": "L1Loss", "loss_weight": 0.1},
}


def options(folder: Path, network: dict[str, Any] = NETWORK, **train: Any) -> dict[str, Any]:
    """The merged options of a training, as BasicSR's pipeline hands them to the model."""
    section = {
        "ema_decay": 0.9,
        "losses": deepcopy(LOSSES),
        "optim_g": {"type": "Adam", "lr": 1e-3},
        "scheduler": {"type": "MultiStepLR", "milestones": [10000]},
        **train,
    }
    return {
        "name": "test", "model_type": "LGCAAModel", "scale": 4, "num_gpu": 0, "dist": False, "rank": 0, "world_size": 1,
        "is_train": True, "manual_seed": 0, "network_g": deepcopy(network), "train": section,
        "val": {"sampling": {"steps": 4}},
        "path": {"models": str(folder), "training_states": str(folder)},
    }  # fmt: skip


def make(folder: Path, network: dict[str, Any] = NETWORK, **train: Any) -> Any:
    """An LGCAAModel with the weights of seed 0."""
    set_random_seed(0)
    return build_model(options(folder, network, **train))


def make_double(folder: Path, network: dict[str, Any] = NETWORK, **train: Any) -> Any:
    """The same model in float64, to be made and used with the fixture `double`."""
    model = make(folder, network, **train)
    for net in (model.net_g, model.net_g_ema, *model.terms.values()):
        net.double()  # what is frozen was stored in float32
    return model


def batch(size: int = 2, side: int = 64, seed: int = 1) -> dict[str, Tensor]:
    """Random images: gt (B, 3, side, side) and lq a quarter of it."""
    generator = torch.Generator().manual_seed(seed)
    gt = torch.rand(size, 3, side, side, generator=generator)
    return {"gt": gt, "lq": torch.nn.functional.interpolate(gt, scale_factor=0.25, mode="area")}
