"""ELAN: shifts of channels and attention in windows of several sizes, without keys, heads or masks.

"Efficient Long-Range Attention Network for Image Super-resolution", ECCV 2022; SSL trains it with layer norms.

Paper: SSL, table 1, ELANGAN.
"""

import math
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from prismsr.archs.nafnet_arch import LayerNorm2d
from prismsr.utils.padding import pad_to_windows
from prismsr.utils.weights.renamings import count_parts

import torch
from basicsr.utils.registry import ARCH_REGISTRY
from torch import Tensor, nn
from torch.nn import functional as F

Norm = Literal["layer", "batch"]
_MEAN = (0.4488, 0.4371, 0.4040)
_FIRST_CONV = "body.0.modules_lfe.lfe_0.conv0.shift_conv.conv1x1.weight"
_OFFSETS = ((1, 2), (1, 0), (2, 1), (0, 1), (1, 1))
"""Row and column of the 1 in the shifts' kernels: from the right, the left, below, above, none."""


@ARCH_REGISTRY.register()
class ELAN(nn.Module):
    """ELAN; arguments and parameters have the names of its release and of SSL's, so that their checkpoints load.

    Args:
        scale: upscaling factor.
        colors: channels of the images; rgb_mean has as many numbers.
        window_sizes: sides of the windows in pixels; each has an equal share of the channels.
        m_elan: pairs of a convolutional part and an attention.
        c_elan: width, a multiple of the number of windows.
        n_share: how many attentions after each take over its weights.
        r_expand: how many times wider the convolutional parts are inside.
        img_range: what images in [0, 1] are multiplied by.
        rgb_mean: what is subtracted from them before.
        norm: "layer" as in SSL's release, "batch" as in the original.

    Raises:
        ValueError: the width cannot be divided, rgb_mean is of another length, or the norm is unknown.
    """

    mean: Tensor

    def __init__(
        self,
        scale: int = 4,
        colors: int = 3,
        window_sizes: Sequence[int] = (4, 8, 16),
        m_elan: int = 36,
        c_elan: int = 180,
        n_share: int = 0,
        r_expand: int = 2,
        img_range: float = 255.0,
        rgb_mean: Sequence[float] = _MEAN,
        norm: Norm = "layer",
    ) -> None:
        super().__init__()
        if len(rgb_mean) != colors:
            raise ValueError(f"rgb_mean has {len(rgb_mean)} numbers, colors is {colors}.")
        if c_elan % len(window_sizes) or norm not in ("layer", "batch"):
            raise ValueError(f"c_elan {c_elan} (a multiple of {len(window_sizes)}), norm {norm!r} ('layer', 'batch').")
        self.scale, self.img_range, self.window_size = scale, img_range, math.lcm(*window_sizes)
        # no part of the state dict: no release has it there
        self.register_buffer("mean", torch.tensor(list(rgb_mean)).view(1, -1, 1, 1), persistent=False)
        self.head = nn.Sequential(nn.Conv2d(colors, c_elan, 3, padding=1))
        shifts = (bool(number % 2) for number in range(m_elan // (1 + n_share)))
        blocks = (_ELAB(c_elan, r_expand, window_sizes, 1 + n_share, shifted=shifted, norm=norm) for shifted in shifts)
        self.body = nn.Sequential(*blocks)
        self.tail = nn.Sequential(nn.Conv2d(c_elan, colors * scale**2, 3, padding=1), nn.PixelShuffle(scale))

    @classmethod
    def read_arguments(cls, state: Mapping[str, Tensor]) -> dict[str, Any] | None:
        """Return the arguments of the network with these weights, None where they are no ELAN's.

        Windows, range and mean are no part of the weights: those of the releases are taken.
        """
        if any(name not in state for name in ("head.0.weight", "tail.0.weight", _FIRST_CONV)):
            return None
        width, colors = state["head.0.weight"].shape[:2]
        parts = count_parts(state, "body.0.modules_lfe")
        return {
            "scale": math.isqrt(len(state["tail.0.weight"]) // colors),
            "colors": colors,
            "m_elan": count_parts(state, "body") * parts,
            "c_elan": width,
            "n_share": parts - 1,
            "r_expand": len(state[_FIRST_CONV]) // width,
            "norm": "batch" if "body.0.modules_gmsa.gmsa_0.project_inp.1.running_mean" in state else "layer",
        }

    def forward(self, x: Tensor) -> Tensor:
        """Enlarge images (B, colors, H, W) in [0, 1], of any size, to (B, colors, scale * H, scale * W)."""
        height, width = (self.scale * side for side in x.shape[-2:])
        x = (pad_to_windows(x, self.window_size) - self.mean) * self.img_range
        first = self.head(x)
        x = self.tail(first + self.body(first)) / self.img_range + self.mean
        return x[..., :height, :width]


def window_attention(query: Tensor, value: Tensor, size: int) -> Tensor:
    """Return softmax(q q^T) v over the pixels of each window of an image; the table q q^T is never held as a whole.

    Query, value and result are (B, C, H, W), with H and W multiples of the windows' side, `size` pixels.
    """
    q, v = _to_windows(query, size), _to_windows(value, size)
    attended = F.scaled_dot_product_attention(q, q, v, scale=1.0)
    batch, channels, height, width = value.shape
    windows = attended.view(batch, height // size, width // size, size, size, channels)
    return windows.permute(0, 5, 1, 3, 2, 4).reshape(value.shape)


def _to_windows(x: Tensor, size: int) -> Tensor:
    """Return (windows, 1, pixels, C): the attention has one head."""
    batch, channels, height, width = x.shape
    windows = x.view(batch, channels, height // size, size, width // size, size).permute(0, 2, 4, 3, 5, 1)
    return windows.reshape(-1, 1, size**2, channels)


class _ShiftedConv(nn.Module):
    """A 1 x 1 convolution after a shift: four fifths of the channels move by one pixel, each fifth to another side.

    The shift's kernels never learn; they are parameters because the releases' checkpoints hold them.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        kernels, share = torch.zeros(inputs, 1, 3, 3), inputs // len(_OFFSETS)
        for number, (row, column) in enumerate(_OFFSETS):
            end = inputs if number == len(_OFFSETS) - 1 else (number + 1) * share
            kernels[number * share : end, 0, row, column] = 1
        self.weight = nn.Parameter(kernels, requires_grad=False)
        self.conv1x1 = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        shifted = F.conv2d(x, self.weight, padding=1, groups=x.shape[1])
        return self.conv1x1(shifted)


class _LFE(nn.Module):
    """Two shifted convolutions, the inner features expanded."""

    def __init__(self, channels: int, expansion: int) -> None:
        super().__init__()
        wide = channels * expansion
        self.conv0 = nn.ModuleDict({"shift_conv": _ShiftedConv(channels, wide)})
        self.conv1 = nn.ModuleDict({"shift_conv": _ShiftedConv(wide, channels)})

    def forward(self, x: Tensor) -> Tensor:
        return self.conv1["shift_conv"](F.relu(self.conv0["shift_conv"](x)))


class _GMSA(nn.Module):
    """Attention in windows of several sizes, each on a share of the channels; the queries are its own or given."""

    def __init__(self, channels: int, window_sizes: Sequence[int], shifted: bool, own: bool, norm: Norm) -> None:
        super().__init__()
        self.window_sizes, self.shifted, self.own = window_sizes, shifted, own
        inner = 2 * channels if own else channels
        # SSL's layer norm has a module around it, the original's batch norm has none
        normalise = nn.BatchNorm2d(inner) if norm == "batch" else nn.Sequential(OrderedDict(norm=LayerNorm2d(inner)))
        self.project_inp = nn.Sequential(nn.Conv2d(channels, inner, 1), normalise)
        self.project_out = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor, queries: Sequence[Tensor]) -> tuple[Tensor, Sequence[Tensor]]:
        """Return features (B, C, H, W), and the queries, one for each window size."""
        shares = self.project_inp(x).chunk(len(self.window_sizes), dim=1)
        if self.own:
            queries, shares = zip(*(share.chunk(2, dim=1) for share in shares), strict=True)
        parts = [self._attend(*part) for part in zip(queries, shares, self.window_sizes, strict=True)]
        return self.project_out(torch.cat(parts, dim=1)), queries

    def _attend(self, query: Tensor, value: Tensor, size: int) -> Tensor:
        if not self.shifted:
            return window_attention(query, value, size)
        move = size // 2
        query, value = (torch.roll(part, (-move, -move), (2, 3)) for part in (query, value))
        return torch.roll(window_attention(query, value, size), (move, move), (2, 3))


class _ELAB(nn.Module):
    """Convolutional parts and attentions in turn, which share the queries of the first."""

    def __init__(
        self, channels: int, expansion: int, window_sizes: Sequence[int], number: int, shifted: bool, norm: Norm
    ) -> None:
        super().__init__()
        self.modules_lfe = nn.ModuleDict({f"lfe_{index}": _LFE(channels, expansion) for index in range(number)})
        self.modules_gmsa = nn.ModuleDict(
            {f"gmsa_{index}": _GMSA(channels, window_sizes, shifted, index == 0, norm) for index in range(number)}
        )

    def forward(self, x: Tensor) -> Tensor:
        queries: Sequence[Tensor] = ()
        for lfe, gmsa in zip(self.modules_lfe.values(), self.modules_gmsa.values(), strict=True):
            x = lfe(x) + x
            attended, queries = gmsa(x, queries)
            x = attended + x
        return x
