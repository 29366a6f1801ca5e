"""A tiny StableSRModel for tests: real parts of diffusers, random weights."""

from copy import deepcopy
from pathlib import Path
from typing import Any

from basicsr.models import build_model
from basicsr.utils import set_random_seed

UNET: dict[str, Any] = {
    "sample_size": 8,
    "block_out_channels": [16, 32],
    "down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"],
    "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D"],
    "layers_per_block": 1,
    "attention_head_dim": [2, 4],
    "cross_attention_dim": 32,
    "norm_num_groups": 8,
}
VAE: dict[str, Any] = {
    "block_out_channels": [8, 16, 16],
    "down_block_types": ["DownEncoderBlock2D"] * 3,
    "up_block_types": ["UpDecoderBlock2D"] * 3,
    "layers_per_block": 1,
    "norm_num_groups": 4,
}
BASE: dict[str, Any] = {"path": None, "unet": UNET, "vae": VAE}
"""It reduces by 4."""
STRUCT: dict[str, Any] = {"channels": 16, "mult": [1, 2], "res_blocks": 1, "groups": 8}
NETWORK: dict[str, Any] = {"type": "StableSRNet", "base": BASE, "struct": STRUCT, "context": "random"}
WHOLE = ["conv_in", "time_embedding", "down_blocks", "mid_block", "up_blocks", "conv_norm_out", "conv_out"]
LOSSES: dict[str, Any] = {"l_noise": {"type": "NoiseLoss"}}
SSL: dict[str, Any] = {
    "l_ssl": {"type": "SelfSimilarityLoss", "search": 7, "window": 3},
    "l_pix": {"type": "L1Loss", "loss_weight": 0.1},
}


def options(folder: Path, network: dict[str, Any] = NETWORK, **train: Any) -> dict[str, Any]:
    """The merged options of a training, as BasicSR's pipeline hands them to the model."""
    section = {
        "ema_decay": 0.9,
        "losses": deepcopy({**LOSSES, **SSL}),
        "optim_g": {"type": "Adam", "lr": 1e-3},
        "scheduler": {"type": "MultiStepLR", "milestones": [10000]},
        **train,
    }
    return {
        "name": "test", "model_type": "StableSRModel", "scale": 4, "num_gpu": 0, "dist": False, "rank": 0,
        "world_size": 1, "is_train": True, "manual_seed": 0, "network_g": deepcopy(network), "train": section,
        "val": {"sampling": {"steps": 4, "spacing": "linspace", "start": "noise"}},
        "path": {"models": str(folder), "training_states": str(folder)},
    }  # fmt: skip


def make(folder: Path, network: dict[str, Any] = NETWORK, **train: Any) -> Any:
    """A StableSRModel with the weights of seed 0."""
    set_random_seed(0)
    return build_model(options(folder, network, **train))


def make_double(folder: Path, network: dict[str, Any] = NETWORK, **train: Any) -> Any:
    """The same model in float64, to be made and used with the fixture `double`."""
    model = make(folder, network, **train)
    for net in (model.net_g, model.net_g_ema, *model.terms.values()):
        net.double()  # what is frozen was stored in float32
    return model
