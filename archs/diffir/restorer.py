"""DIRformer: a U of transformer blocks with attention across channels, each guided by the prior of the image.

Paper: SSL, table 2, DiffIR; DIRformer of DiffIR (ICCV 2023).
"""

from collections import OrderedDict
from collections.abc import Sequence

from prismsr.utils.errors import OptionError

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

PRIOR = 256
"""Numbers of a prior."""


class DIRformer(nn.Module):
    """The generator; parameters have the release's names.

    Each of the three smaller sizes has twice as many channels as the one before. Blocks at the smallest size stand
    alone, the others in both halves of the U. See DiffIRS1 for the arguments; OptionError where the heads do not divide
    the channels.
    """

    def __init__(
        self,
        dim: int,
        num_blocks: Sequence[int],
        num_refinement_blocks: int,
        heads: Sequence[int],
        ffn_expansion_factor: float,
    ) -> None:
        super().__init__()

        def blocks(channels: int, level: int, count: int) -> nn.ModuleList:
            if channels % heads[level]:
                raise OptionError(f"heads.{level}: must divide that size's channels, {channels}; got {heads[level]}")
            return nn.ModuleList(Block(channels, heads[level], ffn_expansion_factor) for _ in range(count))

        self.checkpointing = False
        self.patch_embed = nn.Sequential(OrderedDict(proj=_conv3(3, dim)))
        self.encoder_level1 = blocks(dim, 0, num_blocks[0])
        self.down1_2 = _resize(dim, dim // 2, nn.PixelUnshuffle(2))
        self.encoder_level2 = blocks(2 * dim, 1, num_blocks[1])
        self.down2_3 = _resize(2 * dim, dim, nn.PixelUnshuffle(2))
        self.encoder_level3 = blocks(4 * dim, 2, num_blocks[2])
        self.down3_4 = _resize(4 * dim, 2 * dim, nn.PixelUnshuffle(2))
        self.latent = blocks(8 * dim, 3, num_blocks[3])
        self.up4_3 = _resize(8 * dim, 16 * dim, nn.PixelShuffle(2))
        self.reduce_chan_level3 = nn.Conv2d(8 * dim, 4 * dim, 1, bias=False)
        self.decoder_level3 = blocks(4 * dim, 2, num_blocks[2])
        self.up3_2 = _resize(4 * dim, 8 * dim, nn.PixelShuffle(2))
        self.reduce_chan_level2 = nn.Conv2d(4 * dim, 2 * dim, 1, bias=False)
        self.decoder_level2 = blocks(2 * dim, 1, num_blocks[1])
        self.up2_1 = _resize(2 * dim, 4 * dim, nn.PixelShuffle(2))
        self.decoder_level1 = blocks(2 * dim, 0, num_blocks[0])
        self.refinement = blocks(2 * dim, 0, num_refinement_blocks)
        enlarge = [layer for _ in range(2) for layer in (nn.Conv2d(2 * dim, 8 * dim, 3, padding=1), nn.PixelShuffle(2))]
        self.tail = nn.Sequential(nn.Sequential(*enlarge), nn.Conv2d(2 * dim, 3, 3, padding=1))

    def forward(self, image: Tensor, prior: Tensor) -> Tensor:
        """Enlarge images (B, 3, H, W), sides multiples of 8, guided by priors (B, 256), to (B, 3, 4 H, 4 W)."""
        first = self._run(self.encoder_level1, self.patch_embed(image), prior)
        second = self._run(self.encoder_level2, self.down1_2(first), prior)
        third = self._run(self.encoder_level3, self.down2_3(second), prior)
        x = self._run(self.latent, self.down3_4(third), prior)
        x = self.reduce_chan_level3(torch.cat([self.up4_3(x), third], 1))
        x = self._run(self.decoder_level3, x, prior)
        x = self.reduce_chan_level2(torch.cat([self.up3_2(x), second], 1))
        x = self._run(self.decoder_level2, x, prior)
        x = self._run(self.decoder_level1, torch.cat([self.up2_1(x), first], 1), prior)
        x = self._run(self.refinement, x, prior)
        return self.tail(x) + F.interpolate(image, scale_factor=4, mode="nearest")

    def _run(self, blocks: nn.ModuleList, x: Tensor, prior: Tensor) -> Tensor:
        for block in blocks:
            if self.checkpointing and torch.is_grad_enabled():
                x = checkpoint(block, x, prior, use_reentrant=False)
            else:
                x = block(x, prior)
        return x


class Block(nn.Module):
    """Attention and feed-forward part, each added to its input."""

    def __init__(self, channels: int, heads: int, expansion: float) -> None:
        super().__init__()
        self.norm1 = nn.Sequential(OrderedDict(body=_BiasFreeNorm(channels)))
        self.attn = _Attention(channels, heads)
        self.norm2 = nn.Sequential(OrderedDict(body=_BiasFreeNorm(channels)))
        self.ffn = _FeedForward(channels, int(channels * expansion))

    def forward(self, x: Tensor, prior: Tensor) -> Tensor:
        """Map features (B, C, H, W) to the same shape, guided by priors (B, 256)."""
        x = x + self.attn(self.norm1(x), prior)
        return x + self.ffn(self.norm2(x), prior)


class _BiasFreeNorm(nn.Module):
    """Divide by the deviation over channels; the mean stays."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        return x / torch.sqrt(x.var(1, keepdim=True, unbiased=False) + 1e-5) * self.weight[:, None, None]


class _Attention(nn.Module):
    """Attention of each head's channels to one another; queries and keys have length 1 over the pixels."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.temperature = nn.Parameter(torch.ones(heads, 1, 1))
        self.kernel = _kernel(channels)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1, bias=False)
        self.qkv_dwconv = nn.Conv2d(3 * channels, 3 * channels, 3, padding=1, groups=3 * channels, bias=False)
        self.project_out = nn.Conv2d(channels, channels, 1, bias=False)

    def forward(self, x: Tensor, prior: Tensor) -> Tensor:
        parts = self.qkv_dwconv(self.qkv(_guide(x, self.kernel, prior))).chunk(3, dim=1)
        q, k, v = (part.unflatten(1, (self.heads, -1)).flatten(3) for part in parts)
        weights = F.normalize(q, dim=-1) @ F.normalize(k, dim=-1).transpose(-2, -1) * self.temperature
        attended = (weights.softmax(-1) @ v).flatten(1, 2).unflatten(2, x.shape[-2:])
        return self.project_out(attended)


class _FeedForward(nn.Module):
    """Two halves of wider features, one of which gates the other."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.kernel = _kernel(channels)
        self.project_in = nn.Conv2d(channels, 2 * hidden, 1, bias=False)
        self.dwconv = nn.Conv2d(2 * hidden, 2 * hidden, 3, padding=1, groups=2 * hidden, bias=False)
        self.project_out = nn.Conv2d(hidden, channels, 1, bias=False)

    def forward(self, x: Tensor, prior: Tensor) -> Tensor:
        gate, value = self.dwconv(self.project_in(_guide(x, self.kernel, prior))).chunk(2, dim=1)
        return self.project_out(F.gelu(gate) * value)


def _kernel(channels: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(PRIOR, 2 * channels, bias=False))


def _guide(x: Tensor, kernel: nn.Module, prior: Tensor) -> Tensor:
    """Return x k1 + k2, both from the prior (B, 256) by a linear map."""
    k1, k2 = kernel(prior)[..., None, None].chunk(2, dim=1)
    return x * k1 + k2


def _conv3(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)


def _resize(inputs: int, outputs: int, shuffle: nn.Module) -> nn.Sequential:
    return nn.Sequential(OrderedDict(body=nn.Sequential(_conv3(inputs, outputs), shuffle)))
