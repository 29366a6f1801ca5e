"""LDM's autoencoder with a codebook as diffusers' VQModel: built, loaded, and decoded through its codes."""

from typing import Any

from prismsr.archs.latent.stable_diffusion import build_diffusers
from prismsr.archs.resshift.options import VQOptions
from prismsr.archs.resshift.published_names import rename_vq
from prismsr.utils.full_precision import widen
from prismsr.utils.weights.files import network_weights, require_fit

import torch
from torch import Tensor

INNER = "vq."
"""What ImageVQ's checkpoints put before each name."""


def vq_config(options: VQOptions) -> dict[str, Any]:
    """Return the arguments of diffusers' VQModel."""
    levels = len(options.channels)
    return {
        "down_block_types": ["DownEncoderBlock2D"] * levels,
        "up_block_types": ["UpDecoderBlock2D"] * levels,
        "block_out_channels": list(options.channels),
        "layers_per_block": options.layers,
        "latent_channels": options.latents,
        "vq_embed_dim": options.latents,
        "num_vq_embeddings": options.codes,
        "norm_num_groups": options.groups,
        "mid_block_add_attention": options.attention,
        "scaling_factor": 1.0,
    }


def build_vq(options: VQOptions) -> Any:
    """Return VQModel, float32, on the CPU: loaded from `path`, or random.

    OptionError for sizes that do not go together, WeightsError where the weights are not at hand, or do not fit.
    """
    config = vq_config(options)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(options.seed)  # not CUDA's, which fork_rng leaves out
        vq = build_diffusers("VQModel", config, "vq")
    if options.path is not None:
        state, _ = network_weights(options.path, "params_ema")
        state = {name.removeprefix(INNER): value for name, value in state.items()}
        state = rename_vq(state, config)
        require_fit(vq, state, options.path)
        vq.load_state_dict(state)
    vq._supports_gradient_checkpointing = True  # its parts do, and diffusers does not say so
    return vq


def encode_images(vq: Any, images: Tensor) -> Tensor:
    """Return latents (B, C, h, w), before the codebook, of RGB images (B, 3, H, W) about [0, 1]."""
    latents: Tensor = vq.encode(2 * images - 1).latents
    return widen(latents)


def decode_latents(vq: Any, latents: Tensor, quantize: bool = True) -> Tensor:
    """Return RGB images (B, 3, H, W) about [0, 1], not clamped, of latents (B, C, h, w).

    Codes are looked up in at least float32, also under autocast. Gradients pass them straight through.
    """
    if quantize:
        with torch.autocast(latents.device.type, enabled=False):
            latents = vq.quantize(widen(latents))[0]
    images: Tensor = vq.decode(latents, force_not_quantize=True).sample
    return (images + 1) / 2
