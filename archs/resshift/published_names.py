"""Names of the published ResShift files in those of diffusers' networks: the UNet's, and those of LDM's VQ-f4."""

import importlib
import re
from collections.abc import Mapping
from typing import Any

from prismsr.archs.latent.stable_diffusion import LDM_BLOCK, LDM_NAMES
from prismsr.utils.weights.files import WeightsError

from torch import Tensor

DROPPED = ("attn_mask", "relative_position_index")
"""Buffers of the published UNet. It makes its masks anew at each call, and so do we."""
_STRIDES = {"op": "downsamplers.0.conv", "conv": "upsamplers.0.conv"}
_SINGLE = {**LDM_NAMES, "out.0": "conv_norm_out", "out.2": "conv_out"}


def rename_unet(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a published UNet's tensors in the names of ours, without its buffers.

    WeightsError where the file has names that no ResShift UNet has.
    """
    kept = {name: value for name, value in state.items() if name.rpartition(".")[2] not in DROPPED}
    layers = _count_layers(kept)
    names = {name: _rename_tensor(name, layers) for name in kept}
    unknown = [name for name, ours in names.items() if ours is None]
    if unknown or not kept:
        listed = ", ".join(sorted(unknown)[:4]) or "none"
        raise WeightsError(
            f"These are not the tensors of ResShift's UNet: unknown names {listed} ({len(unknown)} of {len(state)}). "
            "Expected are those of resshift_realsrx4_s15_v1.pth and the like."
        )
    return {str(names[name]): value for name, value in kept.items()}


def _count_layers(state: Mapping[str, Tensor]) -> int:
    """Return how many residual blocks a level has: the first place of a stride, or else the last place of all."""
    places = [re.match(r"input_blocks\.(\d+)\.0\.(op\.)?", name) for name in state]
    strides = [int(found[1]) for found in places if found and found[2]]
    return min(strides) - 1 if strides else max((int(found[1]) for found in places if found), default=0)


def _rename_tensor(name: str, layers: int) -> str | None:
    module, _, kind = name.rpartition(".")
    if module in _SINGLE:
        return f"{_SINGLE[module]}.{kind}"
    found = re.fullmatch(r"(input_blocks|middle_block|output_blocks)(?:\.(\d+))?\.(\d)\.(.+)", name)
    if found is None:
        return None
    side, place, part, rest = found[1], int(found[2] or 0), int(found[3]), found[4]
    if side == "middle_block":  # a residual block, the Swin layer behind it, a residual block
        level, (block, part) = "mid_block", divmod(part, 2)
    else:
        shift, beginning = (1, "down") if side == "input_blocks" else (0, "up")
        number, block = divmod(place - shift, layers + 1)
        level = f"{beginning}_blocks.{number}"
    inner = rest.rpartition(".")[0]
    if inner in _STRIDES:
        return f"{level}.{_STRIDES[inner]}.{kind}"
    if part == 1:
        return f"{level}.resnets.{block}.swin.{rest}"
    return f"{level}.resnets.{block}.{LDM_BLOCK[inner]}.{kind}" if inner in LDM_BLOCK else None


def rename_vq(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return the tensors of LDM's VQ autoencoder in the names of diffusers' VQModel; others are returned as they are.

    What a training of it leaves in the file, its discriminator, is dropped. `config` is the VQModel's.
    """
    if not any(name.startswith(("encoder.down.", "encoder.mid.")) for name in state):
        return dict(state)
    convert = importlib.import_module("diffusers.loaders.single_file_utils").convert_ldm_vae_checkpoint
    codes = "quantize.embedding.weight"
    own = {name: value for name, value in state.items() if not name.startswith("loss.")}
    renamed = convert({f"first_stage_model.{name}": value for name, value in own.items()}, config)
    result: dict[str, Tensor] = {**renamed, **({codes: own[codes]} if codes in own else {})}
    if len(result) != len(own):
        raise WeightsError(
            f"LDM's autoencoder has {len(own)} tensors in this file, of which diffusers' names are known for "
            f"{len(result)}. Expected is autoencoder_vq_f4.pth, or a state dict of diffusers' VQModel."
        )
    return result
