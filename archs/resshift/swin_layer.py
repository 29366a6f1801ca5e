"""The Swin layer of ResShift's UNet: attention in windows of a feature map, group norms in place of layer norms.

Paper: SSL, table 2, ResShift.
"""

from typing import Any

from prismsr.archs.resshift.windows import Mask, join_windows, make_mask, split_windows

import torch
from torch import Tensor, nn
from torch.nn import functional as F

BIAS_DEVIATION = 0.02


def _offset_index(window: int) -> Tensor:
    """Return for each pair of tokens, (N, N), the row of the bias table that their offset has."""
    rows, columns = (grid.flatten() for grid in torch.meshgrid(*[torch.arange(window)] * 2, indexing="ij"))
    down, across = (place[:, None] - place + window - 1 for place in (rows, columns))
    return down * (2 * window - 1) + across


class WindowAttention(nn.Module):
    """Multi-head attention within windows, with a bias learnt for each offset."""

    offsets: Tensor

    def __init__(self, channels: int, heads: int, window: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)
        self.relative_position_bias_table = nn.Parameter(torch.empty((2 * window - 1) ** 2, heads))
        nn.init.trunc_normal_(self.relative_position_bias_table, std=BIAS_DEVIATION)
        self.register_buffer("offsets", _offset_index(window), persistent=False)
        for layer in (self.qkv, self.proj):
            nn.init.trunc_normal_(layer.weight, std=BIAS_DEVIATION)
            nn.init.zeros_(layer.bias)

    def forward(self, windows: Tensor, mask: Tensor | None = None) -> Tensor:
        """Map windows (B, rows, columns, N, C) to the same shape; mask as make_mask returns it."""
        q, k, v = self.qkv(windows).unflatten(-1, (3, self.heads, -1)).movedim(-3, 0).transpose(-3, -2)
        bias = self.relative_position_bias_table[self.offsets].permute(2, 0, 1)  # (heads, N, N)
        if mask is not None:
            bias = bias + mask[:, :, None].to(bias)
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=bias.to(q.dtype))
        return self.proj(attended.transpose(-3, -2).flatten(-2))


class Mlp(nn.Module):
    """Two 1 x 1 convolutions with the exact GELU between."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, hidden, 1)
        self.fc2 = nn.Conv2d(hidden, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        return self.fc2(F.gelu(self.fc1(x)))


class SwinBlock(nn.Module):
    """Window attention and MLP, each after a group norm and with a residual.

    Windows are moved by `shift`; 0 for none. The MLP has `ratio` times the channels inside. See make_mask for the mask.
    """

    def __init__(
        self, channels: int, heads: int, window: int, shift: int, mask: Mask, groups: int, ratio: float
    ) -> None:
        super().__init__()
        self.window, self.shift, self.kind = window, shift, mask
        self.norm1 = nn.GroupNorm(groups, channels)
        self.attn = WindowAttention(channels, heads, window)
        self.norm2 = nn.GroupNorm(groups, channels)
        self.mlp = Mlp(channels, round(ratio * channels))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        mask = None
        windows = split_windows(torch.roll(self.norm1(x), (-self.shift, -self.shift), (2, 3)), self.window)
        if self.shift:
            _, rows, columns, _, _ = windows.shape
            mask = make_mask(self.kind, rows, columns, self.window, self.shift, x.device)
        moved = join_windows(self.attn(windows, mask), self.window)
        x = x + torch.roll(moved, (self.shift, self.shift), (2, 3))
        return x + self.mlp(self.norm2(x))


class SwinLayer(nn.Module):
    """1 x 1 convolution, blocks without and with a shift in turn, 1 x 1 convolution back; no residual around it.

    There are `depth` blocks of `width` channels; every second one has the shift. See SwinBlock for the others.
    """

    def __init__(self, channels: int, width: int, depth: int, *, shift: int, **block: Any) -> None:
        super().__init__()
        self.patch_embed, self.patch_unembed = (
            nn.ModuleDict({"proj": nn.Conv2d(*sizes, 1)}) for sizes in ((channels, width), (width, channels))
        )
        shifts = (shift if number % 2 else 0 for number in range(depth))
        self.blocks = nn.ModuleList(SwinBlock(width, shift=each, **block) for each in shifts)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape; sides are multiples of the window."""
        x = self.patch_embed["proj"](x)
        for block in self.blocks:
            x = block(x)
        return self.patch_unembed["proj"](x)
