"""ResShift's tiny network of which the release's outputs were written down, with the release's names."""

from collections.abc import Iterator
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any

from prismsr.archs.resshift.options import VQOptions
from prismsr.archs.resshift.published_names import rename_unet, rename_vq
from prismsr.archs.resshift.resshift_arch import ResShiftNet
from prismsr.archs.resshift.vq_model import vq_config

import lgcaa_case
import torch
from basicsr.models import build_model
from basicsr.utils import set_random_seed
from published_fill import fill
from torch import Tensor

UNET = {"channels": [32, 64], "layers": 1}
SWIN = {"dim": 32, "head": 16}
VQ = {"channels": [32, 64], "layers": 1, "codes": 64}
SCHEDULE = {"steps": 4, "min_noise": 0.2}
TINY: dict[str, Any] = {"unet": UNET, "swin": {**SWIN, "ratio": 4}, "vq": VQ, "schedule": SCHEDULE}


def published_unet_names(widths: list[int], layers: int, buffers: bool = False) -> Iterator[str]:
    """Yield the names of the release's UNet, as its blocks are numbered."""
    both = ("weight", "bias")

    def named(prefix: str, modules: tuple[str, ...]) -> Iterator[str]:
        yield from (f"{prefix}.{module}.{kind}" for module in modules for kind in both)

    def residual(prefix: str, skip: bool) -> Iterator[str]:
        yield from named(prefix, ("in_layers.0", "in_layers.2", "emb_layers.1", "out_layers.0", "out_layers.3"))
        if skip:
            yield from named(prefix, ("skip_connection",))

    def swin(prefix: str, shifted: bool) -> Iterator[str]:
        yield from named(prefix, ("patch_embed.proj", "patch_unembed.proj"))
        for number in (0, 1):
            inner = f"{prefix}.blocks.{number}"
            yield from named(inner, ("norm1", "norm2", "attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2"))
            yield f"{inner}.attn.relative_position_bias_table"
            if buffers:
                yield f"{inner}.attn.relative_position_index"
                if number and shifted:
                    yield f"{inner}.attn_mask"

    yield from named("time_embed", ("0", "2"))
    yield from named("input_blocks.0", ("0",))
    place, width = 1, widths[0]
    last = len(widths) - 1
    for level, wanted in enumerate(widths):
        for block in range(layers):
            yield from residual(f"input_blocks.{place}.0", width != wanted)
            if block == 0:
                yield from swin(f"input_blocks.{place}.1", level != last)
            place, width = place + 1, wanted
        if level != last:
            yield from named(f"input_blocks.{place}.0", ("op",))
            place += 1
    for part in ("0", "2"):
        yield from residual(f"middle_block.{part}", False)
    yield from swin("middle_block.1", False)
    for place in range((last + 1) * (layers + 1)):
        level, block = divmod(place, layers + 1)
        yield from residual(f"output_blocks.{place}.0", True)
        if block == 0:
            yield from swin(f"output_blocks.{place}.1", level != 0)
        if block == layers and level != last:
            yield from named(f"output_blocks.{place}.1", ("conv",))
    yield from named("out", ("0", "2"))


def published_vq_names(widths: list[int], layers: int) -> Iterator[str]:
    """Yield the names of LDM's VQ autoencoder."""
    both = ("weight", "bias")

    def residual(prefix: str, skip: bool) -> Iterator[str]:
        parts = ("norm1", "conv1", "norm2", "conv2", *(("nin_shortcut",) if skip else ()))
        yield from (f"{prefix}.{part}.{kind}" for part in parts for kind in both)

    for side in ("encoder", "decoder"):
        yield from (f"{side}.{part}.{kind}" for part in ("conv_in", "norm_out", "conv_out") for kind in both)
        for number in (1, 2):
            yield from residual(f"{side}.mid.block_{number}", False)
        yield from (f"{side}.mid.attn_1.{part}.{kind}" for part in ("norm", "q", "k", "v", "proj_out") for kind in both)
    width = widths[0]
    for level, wanted in enumerate(widths):
        for block in range(layers):
            yield from residual(f"encoder.down.{level}.block.{block}", width != wanted)
            width = wanted
        if level + 1 < len(widths):
            yield from (f"encoder.down.{level}.downsample.conv.{kind}" for kind in both)
    for level in reversed(range(len(widths))):
        for block in range(layers + 1):
            yield from residual(f"decoder.up.{level}.block.{block}", width != widths[level])
            width = widths[level]
        if level:
            yield from (f"decoder.up.{level}.upsample.conv.{kind}" for kind in both)
    yield from (f"{part}.{kind}" for part in ("quant_conv", "post_quant_conv") for kind in both)
    yield "quantize.embedding.weight"


def match_vq(options: VQOptions) -> dict[str, str]:
    """Return the release's name of each tensor, by its name in diffusers."""
    published = list(published_vq_names(options.channels, options.layers))
    marks = {name: torch.full((1, 1, 1, 1), float(number)) for number, name in enumerate(published)}
    renamed = rename_vq(marks, vq_config(options))
    return {ours: published[int(mark.flatten()[0])] for ours, mark in renamed.items()}


def published_vq(vae: Any, options: VQOptions) -> dict[str, Tensor]:
    """Return the rule's weights in LDM's names; its attention is of 1 x 1 convolutions there."""
    own = vae.state_dict()
    state = fill({published: own[ours].shape for ours, published in match_vq(options).items()})
    flat = [name for name, value in state.items() if ".attn_1." in name and value.ndim == 2]
    return {**state, **{name: state[name][..., None, None] for name in flat}}


def fill_vq(vae: Any, options: VQOptions) -> None:
    """Give an autoencoder the rule's weights, loaded in LDM's names."""
    vae.load_state_dict(rename_vq(published_vq(vae, options), vq_config(options)))


def published_unet(net: Any) -> dict[str, Tensor]:
    """Return the rule's weights in the names of the release's UNet, for the tiny network."""
    own = net.unet.state_dict()
    names = rename_unet({name: name for name in published_unet_names(UNET["channels"], UNET["layers"])})
    return fill({published: own[ours].shape for ours, published in names.items()})


def make_net(**changes: Any) -> Any:
    """Return the tiny network with the rule's weights, loaded in the release's names."""
    net = ResShiftNet(**{**TINY, **changes})
    net.load_state_dict(ResShiftNet.convert_published(published_unet(net)))
    fill_vq(net.vae, VQOptions.model_validate(net.sections["vq"]))
    return net.eval()


LOSSES = {
    "l_latent": {"type": "LatentLoss"},
    "l_ssl": {"type": "SelfSimilarityLoss", "mask_stride": 3},
    "l_pix": {"type": "L1Loss", "loss_weight": 0.1},
}
NETWORK = {
    "type": "ResShiftNet",
    "unet": {"channels": [8, 16], "layers": 1, "groups": 4},
    "swin": {"dim": 8, "head": 4, "window": 2, "ratio": 2},
    "vq": {"channels": [8, 8, 16], "layers": 1, "codes": 32, "groups": 4},
    "schedule": SCHEDULE,
}
"""For the step: it reduces by 4, and its latents are multiples of 4."""


def options(folder: Path, network: dict[str, Any] = NETWORK, **train: Any) -> dict[str, Any]:
    """Return the merged options of a training, as BasicSR's pipeline hands them to the model."""
    common = lgcaa_case.options(folder, network, **{"losses": deepcopy(LOSSES), **train})
    return {**common, "model_type": "ResShiftModel", "val": {}}


def make(folder: Path, network: dict[str, Any] = NETWORK, **train: Any) -> Any:
    """Return a ResShiftModel with the weights of seed 0."""
    set_random_seed(0)
    return build_model(options(folder, network, **train))


batch = partial(lgcaa_case.batch, side=32)
