"""StableSR's controllable feature wrapping: the VAE's decoder with a share of what its encoder saw of the LR image.

It imports diffusers: import it where it is needed, not at the top of a file that `import prismsr` reads.

Paper: SSL, table 2, StableSR (arXiv 2305.07015).
"""

import importlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

from prismsr.archs.stablesr.published import CFW, convert_wrapping
from prismsr.utils.errors import OptionError
from prismsr.utils.weights.files import load_strictly, network_weights

import torch
from basicsr.archs.rrdbnet_arch import RRDB
from torch import Tensor, nn

_resnet: Any = importlib.import_module("diffusers.models.resnet")
LEVELS = (2, 1)
"""Levels of the VAE that are wrapped, counted from the image: 1/4 and 1/2 of its size."""


def read_wrapping(vae: Any, path: str) -> "FeatureWrapping":
    """Return the feature wrapping of a VAE with the fusion layers of a file: the published one, or our names alone.

    OptionError where the VAE has too few levels, WeightsError where the file is missing, damaged, or has other layers.
    """
    if len(vae.config.block_out_channels) <= max(LEVELS):
        raise OptionError(f"cfw: the VAE has too few levels to be wrapped; needed are {max(LEVELS) + 1}")
    state, _ = network_weights(path, None)
    cfw = FeatureWrapping(vae)
    published = any(name.startswith(CFW) for name in state)
    load_strictly(cfw, convert_wrapping(state) if published else state, path)
    return cfw


class FusionLayer(nn.Module):
    """h + w R2(RRDB(RRDB(R1(cat[enc, h])))), in the release's names."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        settings = {"out_channels": channels, "temb_channels": None, "groups": groups, "eps": 1e-6}
        self.encode_enc_1 = _resnet.ResnetBlock2D(in_channels=2 * channels, **settings)
        self.encode_enc_2 = nn.Sequential(*(RRDB(channels, 32) for _ in range(2)))
        self.encode_enc_3 = _resnet.ResnetBlock2D(in_channels=channels, **settings)

    def forward(self, encoded: Tensor, decoded: Tensor, weight: float) -> Tensor:
        """Return the decoder's map (B, C, h, w) with `weight` times what the encoder's map of that size adds."""
        joined = self.encode_enc_1(torch.cat((encoded, decoded), 1), None)
        added: Tensor = self.encode_enc_3(self.encode_enc_2(joined), None)
        return decoded + weight * added


class FeatureWrapping(nn.Module):
    """Both fusion layers of an AutoencoderKL, whose own weights stay as they are; it is not kept."""

    def __init__(self, vae: Any) -> None:
        super().__init__()
        widths, groups = vae.config.block_out_channels, vae.config.norm_num_groups
        for level in LEVELS:
            self.add_module(f"fusion_layer_{level}", FusionLayer(widths[level], groups))

    @contextmanager
    def wrap(self, vae: Any, weight: float) -> Iterator[None]:
        """Let the VAE's decoder take up what its encoder saw last, while it lasts: encode an image, then decode.

        `weight` is of what is added; 0 is the plain decoder.
        """
        seen: dict[int, Tensor] = {}

        def keep(level: int, _: nn.Module, args: tuple[Tensor, ...]) -> None:
            seen[level] = args[0]

        def fuse(level: int, _: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            return self.get_submodule(f"fusion_layer_{level}")(seen[level], args[0], weight), *args[1:]

        with ExitStack() as hooks:
            for level in LEVELS:
                down = vae.encoder.down_blocks[level].downsamplers[0]
                up = vae.decoder.up_blocks[-1 - level].upsamplers[0]
                for module, hook in ((down, keep), (up, fuse)):
                    hooks.callback(module.register_forward_pre_hook(partial(hook, level)).remove)
            yield
