"""The Swin layer of ResShift's UNet: attention in windows of a feature map, group norms in place of layer norms.

Paper: SSL, table 2, ResShift.
"""

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Mask = Literal["released", "swin"]
BLOCKED = -100.0
"""Added to the logits of tokens that must not see each other."""
BIAS_DEVIATION = 0.02


def split_windows(x: Tensor, window: int) -> Tensor:
    """Return the windows (B, rows, columns, window ** 2, C) of a map (B, C, H, W); sides are multiples of `window`."""
    grid = x.unflatten(3, (-1, window)).unflatten(2, (-1, window))
    return grid.permute(0, 2, 4, 3, 5, 1).flatten(3, 4)


def join_windows(windows: Tensor, window: int) -> Tensor:
    """Return the map (B, C, H, W) of windows; the inverse of split_windows."""
    grid = windows.unflatten(3, (window, window)).permute(0, 5, 1, 3, 2, 4)
    return grid.flatten(4, 5).flatten(2, 3)


def make_mask(
    kind: Mask, rows: int, columns: int, window: int, shift: int, device: torch.device | None = None
) -> Tensor:
    """Return what is added to the logits of shifted windows, (rows, columns, N, N) with N = window ** 2.

    "swin" parts what the shift brought together from opposite borders. "released" is what the published weights were
    trained with: in the last row of windows, tokens see their own side of a window alone, left or right of the
    shift; in all other windows there is no mask.

    Example:
        >>> make_mask("released", 2, 1, 2, 1)[1, 0]
        tensor([[   0., -100.,    0., -100.],
                [-100.,    0., -100.,    0.],
                [   0., -100.,    0., -100.],
                [-100.,    0., -100.,    0.]])
    """

    def label(count: int) -> Tensor:  # of the positions along an axis: before the last window, in it, past the shift
        places = torch.arange(count * window, device=device)
        return (places >= (count - 1) * window).long() + (places >= count * window - shift)

    labels = (3 * label(rows)[:, None] + label(columns)).view(1, 1, rows * window, columns * window)
    if kind == "released":
        side = (torch.arange(window, device=device) >= window - shift).long().repeat(rows * window, columns)
        side[: (rows - 1) * window] = 0
        labels = side.view(1, 1, rows * window, columns * window)
    tokens = split_windows(labels, window)[0, ..., 0]
    apart = tokens[..., :, None] != tokens[..., None, :]
    return torch.zeros(apart.shape, device=device).masked_fill(apart, BLOCKED)


def _offset_index(window: int) -> Tensor:
    """Return for each pair of tokens, (N, N), the row of the bias table that their offset has."""
    rows, columns = (grid.flatten() for grid in torch.meshgrid(*[torch.arange(window)] * 2, indexing="ij"))
    down, across = (place[:, None] - place + window - 1 for place in (rows, columns))
    return down * (2 * window - 1) + across


class WindowAttention(nn.Module):
    """Multi-head attention within windows, with a bias learnt for each offset.

    Args:
        channels: C.
        heads: their number.
        window: side of a window.
    """

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
        result: Tensor = self.proj(attended.transpose(-3, -2).flatten(-2))
        return result


class Mlp(nn.Module):
    """Two 1 x 1 convolutions with the exact GELU between."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, hidden, 1)
        self.fc2 = nn.Conv2d(hidden, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        result: Tensor = self.fc2(F.gelu(self.fc1(x)))
        return result


class SwinBlock(nn.Module):
    """Window attention and MLP, each after a group norm and with a residual.

    Args:
        channels: C.
        heads: of the attention.
        window: side of a window.
        shift: by which the windows are moved; 0 for none.
        mask: see make_mask.
        groups: of the norms.
        ratio: hidden channels of the MLP over C.
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

    Args:
        channels: of the map.
        width: of the blocks.
        depth: number of blocks.
        heads: of each.
        window: side of a window.
        shift: of every second block.
        mask: see make_mask.
        groups: of the norms.
        ratio: see SwinBlock.
    """

    def __init__(
        self,
        channels: int,
        width: int,
        *,
        depth: int,
        heads: int,
        window: int,
        shift: int,
        mask: Mask,
        groups: int,
        ratio: float,
    ) -> None:
        super().__init__()
        self.patch_embed, self.patch_unembed = (
            nn.ModuleDict({"proj": nn.Conv2d(*sizes, 1)}) for sizes in ((channels, width), (width, channels))
        )
        self.blocks = nn.ModuleList(
            SwinBlock(width, heads, window, shift if number % 2 else 0, mask, groups, ratio) for number in range(depth)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape; sides are multiples of the window."""
        x = self.patch_embed["proj"](x)
        for block in self.blocks:
            x = block(x)
        result: Tensor = self.patch_unembed["proj"](x)
        return result


def add_swin_layers(unet: Any, make_layer: Callable[[int, bool], SwinLayer]) -> None:
    """Put a layer on the output of the first residual block of each level, and of the middle, in place.

    Args:
        unet: UNet2DModel of diffusers.
        make_layer: gives the layer for a number of channels, and whether it is at the deepest level.
    """
    levels = [*unet.down_blocks, unet.mid_block, *unet.up_blocks]
    deepest = (unet.down_blocks[-1], unet.mid_block, unet.up_blocks[0])
    for level in levels:
        block = level.resnets[0]
        block.swin = make_layer(block.conv2.out_channels, any(level is one for one in deepest))
        block.register_forward_hook(_apply_swin)


def _apply_swin(block: Any, inputs: Any, output: Tensor) -> Tensor:
    result: Tensor = block.swin(output)
    return result
