"""A tiny StableSRModel for tests: real parts of diffusers, random weights."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import lgcaa_case
from basicsr.models import build_model
from basicsr.utils import set_random_seed
from lgcaa_case import BLOCKS, SSL

VAE: dict[str, Any] = {
    "block_out_channels": [8, 16, 16],
    "down_block_types": ["DownEncoderBlock2D"] * 3,
    "up_block_types": ["UpDecoderBlock2D"] * 3,
    "layers_per_block": 1,
    "norm_num_groups": 4,
}
BASE: dict[str, Any] = {"path": None, "unet": BLOCKS, "vae": VAE}
"""It reduces by 4."""
STRUCT: dict[str, Any] = {"channels": 16, "mult": [1, 2], "res_blocks": 1, "groups": 8}
NETWORK: dict[str, Any] = {"type": "StableSRNet", "base": BASE, "struct": STRUCT, "context": "random"}
WHOLE = ["conv_in", "time_embedding", "down_blocks", "mid_block", "up_blocks", "conv_norm_out", "conv_out"]
LOSSES: dict[str, Any] = {"l_noise": {"type": "NoiseLoss"}}


def options(folder: Path, network: dict[str, Any] = NETWORK, **train: Any) -> dict[str, Any]:
    """The merged options of a training, as BasicSR's pipeline hands them to the model."""
    common = lgcaa_case.options(folder, network, **{"losses": deepcopy({**LOSSES, **SSL}), **train})
    sampling = {"steps": 4, "spacing": "linspace", "start": "noise"}
    return {**common, "model_type": "StableSRModel", "val": {"sampling": sampling}}


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
