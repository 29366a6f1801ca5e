"""The names of StableSR's published files, and ours for the same tensors.

The whole checkpoint is one of Lightning: the UNet below model.diffusion_model, the time-aware encoder below
structcond_stage_model, and frozen networks. The file of the feature wrapping is an autoencoder of its own.
"""

import re
from collections.abc import Mapping

from prismsr.archs.latent.stable_diffusion import LDM_BLOCK, LDM_NAMES
from prismsr.utils.names import list_first
from prismsr.utils.weights.files import WeightsError

from torch import Tensor

UNET, ENCODER, CFW = "model.diffusion_model.", "structcond_stage_model.", "decoder.fusion_layer_"
_FROZEN = (UNET, "model_ema.", "first_stage_model.", "cond_stage_model.")
_SCHEDULE = re.compile(
    r"(betas|alphas_\w+|sqrt_\w+|log_one_minus_\w+|posterior_\w+|logvar|lvlb_weights|scale_factor|ori_timesteps)"
)
_AUTOENCODER = ("encoder.", "decoder.", "quant_conv.", "post_quant_conv.", "loss.")
HEADS = 4
"""Of the encoder's attentions; its tensors do not tell."""
_INNER = {**LDM_BLOCK, "op": "conv", "norm": "group_norm", "proj_out": "to_out.0"}


def convert_trained(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the trained tensors of a whole checkpoint's `state_dict` in the names of StableSRNet's.

    The frozen networks and the schedule are left out: UNet and VAE are those of Stable Diffusion 2.1 base.

    Raises:
        WeightsError: a tensor's name is unknown, or modulated norms or encoder are missing.
    """
    found: dict[str, Tensor] = {}
    layers, blocks = (count_blocks(state, prefix) for prefix in (UNET, ENCODER))
    unknown = []
    for key, value in state.items():
        if key.startswith(UNET) and ".spade." in key:
            found[f"unet.{rename_modulation(key.removeprefix(UNET), layers)}"] = value
        elif key.startswith(ENCODER):
            found |= {f"encoder.{name}": x for name, x in _convert_encoder(key.removeprefix(ENCODER), value, blocks)}
        elif not key.startswith(_FROZEN) and not _SCHEDULE.fullmatch(key):
            unknown.append(key)
    _refuse(unknown)
    return found


def convert_wrapping(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the fusion layers of the wrapping's published file in our names; WeightsError for an unknown one.

    The autoencoder around them is Stable Diffusion's own, and left out.
    """
    _refuse([key for key in state if not key.startswith(_AUTOENCODER)])
    layers = {key.removeprefix("decoder."): value for key, value in state.items() if key.startswith(CFW)}
    return {key.replace("nin_shortcut", "conv_shortcut"): value for key, value in layers.items()}


def rename_modulation(key: str, layers: int) -> str:
    """Return our name, below `unet`, of a modulated norm's tensor such as input_blocks.1.0.spade.mlp_gamma.weight.

    That name is below model.diffusion_model. A level of the UNet's encoder half has `layers` residual blocks.
    """
    place, name = key.split(".spade.")
    return f"{_place_block(place, layers)}.conv2.spade.{name}"


def count_blocks(state: Mapping[str, Tensor], prefix: str) -> int:
    """Return the residual blocks a level of an encoder half, which are as many as come before the first halving.

    WeightsError where nothing is halved below the prefix.
    """
    found = re.compile(re.escape(prefix) + r"input_blocks\.(\d+)\.0\.op\.weight")
    places = [int(match[1]) for match in map(found.fullmatch, state) if match]
    if not places:
        raise WeightsError(f"It is no checkpoint of StableSR: no {prefix}input_blocks.*.0.op.weight in it.")
    return min(places) - 1


def _place_block(place: str, layers: int) -> str:
    """Return diffusers' place of what stands at input_blocks.3.0, middle_block.2 or output_blocks.5.0."""
    part, number, *inner = place.split(".")
    index = int(number)
    if part == "middle_block":
        return "mid_block.attentions.0" if index == 1 else f"mid_block.resnets.{index // 2}"
    if part == "output_blocks":
        return f"up_blocks.{index // (layers + 1)}.resnets.{index % (layers + 1)}"
    level, layer = divmod(index - 1, layers + 1)
    if layer == layers:
        return f"down_blocks.{level}.downsamplers.0"
    return f"down_blocks.{level}.{'attentions' if inner[0] == '1' else 'resnets'}.{layer}"


def _convert_encoder(key: str, value: Tensor, layers: int) -> list[tuple[str, Tensor]]:
    """Return our names and tensors for one of the time-aware encoder; a joined projection makes three."""
    where, kind = key.rsplit(".", 1)
    if where in LDM_NAMES:
        return [(f"{LDM_NAMES[where]}.{kind}", value)]
    found = re.fullmatch(r"(input_blocks\.\d+\.\d|middle_block\.\d|fea_tran\.\d+)\.(.+)", where)
    if found is None or found[2] not in {*_INNER, "qkv"}:
        raise WeightsError(f"A tensor that StableSR's encoder does not have: {ENCODER}{key}.")
    place = found[1].replace("fea_tran", "to_maps") if "fea_tran" in where else _place_block(found[1], layers)
    if found[2] == "qkv":  # (heads, 3, width of a head) of rows, so that each head has its own three
        rows = value.flatten(1) if kind == "weight" else value
        parts = rows.unflatten(0, (HEADS, 3, -1)).transpose(0, 1).flatten(1, 2)
        return [(f"{place}.{name}.{kind}", x) for name, x in zip(("to_q", "to_k", "to_v"), parts, strict=True)]
    if found[2] == "proj_out" and kind == "weight":
        value = value.flatten(1)
    return [(f"{place}.{_INNER[found[2]]}.{kind}", value)]


def _refuse(unknown: list[str]) -> None:
    if unknown:
        raise WeightsError(f"Tensors that no file of StableSR has: {list_first(unknown, 4)}.")
