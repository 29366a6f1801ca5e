"""LGCAA's ControlNet: loaded, or begun from the UNet."""

from typing import Any

from prismsr.archs.latent.stable_diffusion import diffusers, load_pretrained
from prismsr.archs.lgcaa.options import BaseOptions

import torch


def build_controlnet(unet: Any, options: BaseOptions) -> Any:
    """Return ControlNetModel: loaded from controlnet_path, or a copy of the UNet's encoder half with zero convolutions.

    The copy is strict, so that nothing may have been put into the UNet yet.
    """
    if options.controlnet_path is not None:
        return load_pretrained("ControlNetModel", options.controlnet_path, "controlnet", None)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(options.seed)  # not CUDA's, which fork_rng leaves out
        return diffusers().ControlNetModel.from_unet(
            unet, conditioning_embedding_out_channels=tuple(options.condition_channels)
        )
