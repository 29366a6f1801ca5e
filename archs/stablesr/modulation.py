"""StableSR's modulated norms inside diffusers' UNet: one behind the last convolution of each residual block.

Paper: SSL, table 2, StableSR (arXiv 2305.07015).
"""

from collections.abc import Iterator
from typing import Any, Literal

import torch
from torch import Tensor, nn

HIDDEN = 128
"""Channels between the encoder's map and the scale and shift, whatever the network's size."""
Start = Literal["released", "zero"]


class SFT(nn.Module):
    """norm(h) (1 + gamma(f)) + beta(f), of h with `channels` and f with `condition`, in the release's names.

    It does not begin as the identity: a fresh layer changes every residual branch. With `start` "zero", which is ours,
    a learned scale that begins at 0 weighs the change, so that Stable Diffusion is preserved to the bit.
    """

    def __init__(self, channels: int, condition: int, groups: int, start: Start) -> None:
        super().__init__()
        self.param_free_norm = nn.GroupNorm(groups, channels)
        self.mlp_shared = nn.Sequential(nn.Conv2d(condition, HIDDEN, 3, padding=1), nn.ReLU())
        self.mlp_gamma = nn.Conv2d(HIDDEN, channels, 3, padding=1)
        self.mlp_beta = nn.Conv2d(HIDDEN, channels, 3, padding=1)
        self.scale = nn.Parameter(torch.zeros(1)) if start == "zero" else None

    def forward(self, h: Tensor, f: Tensor) -> Tensor:
        """Return h (B, C, height, width), modulated by f (B, condition, height, width)."""
        if not h.requires_grad:
            h = h.contiguous()  # torch 2.13's CPU code crashes for trained norms of what is channels_last and frozen
        hidden = self.mlp_shared(f)
        changed: Tensor = self.param_free_norm(h) * (1 + self.mlp_gamma(hidden)) + self.mlp_beta(hidden)
        return changed if self.scale is None else h + self.scale * (changed - h)


class Maps:
    """The encoder's maps in a forward pass, which all layers of a network read; a copy of the network begins empty."""

    levels: tuple[Tensor, ...] = ()

    def __getstate__(self) -> dict[str, Any]:
        return {}


class ModulatedConv(nn.Conv2d):
    """A residual block's last convolution, and behind it the child `spade`; names of old weights stay."""

    spade: SFT
    maps: Maps
    level: int

    def forward(self, input: Tensor) -> Tensor:
        """Return the modulated residual branch (B, C, height, width)."""
        return self.spade(super().forward(input), self.maps.levels[self.level])


def inject(unet: Any, condition: int, start: Start) -> Maps:
    """Put a modulated norm into each residual block of a UNet, in place, and return what hands the maps over.

    Each layer takes the map of its level, counted from the largest. UNet and encoder halve alike, so that the sizes
    agree; the release looks for an equal width instead. The UNet's weights are loaded; the maps have `condition`
    channels.
    """
    maps = Maps()
    for resnet, level in find_blocks(unet):
        conv = resnet.conv2
        conv.__class__ = ModulatedConv
        conv.spade = SFT(conv.out_channels, condition, unet.config.norm_num_groups, start)
        conv.maps, conv.level = maps, level
    return maps


def find_blocks(unet: Any) -> Iterator[tuple[Any, int]]:
    """Yield each residual block of a UNet with its level; 22 blocks in SD-2's."""
    last = len(unet.down_blocks) - 1
    for level, block in enumerate(unet.down_blocks):
        yield from ((resnet, level) for resnet in block.resnets)
    yield from ((resnet, last) for resnet in unet.mid_block.resnets)
    for number, block in enumerate(unet.up_blocks):
        yield from ((resnet, last - number) for resnet in block.resnets)
