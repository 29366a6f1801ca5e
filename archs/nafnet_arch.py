"""NAFNet (Simple Baselines for Image Restoration, ECCV 2022): a U-Net of blocks without activation functions.

Paper: SFD, table 5.
"""

from collections.abc import Sequence
from typing import ClassVar

from basicsr.utils.registry import ARCH_REGISTRY
from torch import Tensor, nn, zeros
from torch.nn import functional as F


class LayerNorm2d(nn.LayerNorm):
    """Layer norm over the channels of each pixel."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (B, C, H, W) over C; weight and bias have C entries."""
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def simple_gate(x: Tensor) -> Tensor:
    """Return product of the two halves of the channels, (B, 2C, H, W) to (B, C, H, W)."""
    first, second = x.chunk(2, dim=1)
    return first * second


def _sliding_mean(x: Tensor, size: int, dim: int) -> Tensor:
    """Return means of all runs of `size` entries along `dim`, which shrinks by size - 1.

    The mean of the whole is taken off first, so that differences of the running sums stay exact on large images.
    """
    centre = x.mean(dim, keepdim=True)
    sums = F.pad((x - centre).cumsum(dim), (1, 0) if dim == -1 else (0, 0, 1, 0))
    length = sums.shape[dim] - size
    return (sums.narrow(dim, size, length) - sums.narrow(dim, 0, length)) / size + centre


def local_mean(x: Tensor, window: int) -> Tensor:
    """Mean of a square of `window` pixels' side around each pixel (Test-time Local Converter, ECCV 2022).

    Near the border the window is shifted into the image, so that it always covers `window` pixels; along a side that is
    shorter than the window it covers the whole side. It is (B, C, H, W) as the image, or (B, C, 1, 1) where the square
    covers the whole image.
    """
    height, width = x.shape[-2:]
    if window >= height and window >= width:
        return x.mean((-2, -1), keepdim=True)
    rows, columns = min(window, height), min(window, width)
    means = _sliding_mean(_sliding_mean(x, columns, -1), rows, -2)
    right, below = columns - 1, rows - 1
    # of an even number of rows or columns that are missing, one more goes below or to the right, as in the release
    border = (right // 2, right - right // 2, below // 2, below - below // 2)
    return F.pad(means, border, mode="replicate")


class _Mean(nn.Module):
    """Mean over the image, or over a window around each pixel."""

    def __init__(self, window: int | None) -> None:
        super().__init__()
        self.window = window

    def forward(self, x: Tensor) -> Tensor:
        return x.mean((-2, -1), keepdim=True) if self.window is None else local_mean(x, self.window)


class NAFBlock(nn.Module):
    """Gated depthwise convolution with simplified channel attention, then a gated feed-forward part; both residual.

    `window` is the side of the attention's mean in this block's pixels; None: the whole image.
    """

    def __init__(self, channels: int, window: int | None = None) -> None:
        super().__init__()
        wide = 2 * channels
        self.norm1 = LayerNorm2d(channels, eps=1e-6)
        self.conv1 = nn.Conv2d(channels, wide, 1)
        self.conv2 = nn.Conv2d(wide, wide, 3, padding=1, groups=wide)
        self.sca = nn.Sequential(_Mean(window), nn.Conv2d(channels, channels, 1))
        self.conv3 = nn.Conv2d(channels, channels, 1)
        self.norm2 = LayerNorm2d(channels, eps=1e-6)
        self.conv4 = nn.Conv2d(channels, wide, 1)
        self.conv5 = nn.Conv2d(channels, channels, 1)
        self.beta = nn.Parameter(zeros(1, channels, 1, 1))  # at 0 a new block passes its input on
        self.gamma = nn.Parameter(zeros(1, channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        mixed = simple_gate(self.conv2(self.conv1(self.norm1(x))))
        x = x + self.beta * self.conv3(mixed * self.sca(mixed))
        return x + self.gamma * self.conv5(simple_gate(self.conv4(self.norm2(x))))


@ARCH_REGISTRY.register()
class NAFNet(nn.Module):
    """NAFNet; parameters have the release's names, so that its checkpoints load.

    Each level of the encoder halves the image and doubles the channels. The network adds a correction to its input.

    Args:
        img_channel: channels of the image.
        width: channels of the first level; 32 or 64 in the paper.
        enc_blk_nums: blocks of each level of the encoder; the paper has [1, 1, 1, 28] for GoPro, [2, 2, 4, 8] for SIDD.
        middle_blk_num: blocks between encoder and decoder; 1 and 12.
        dec_blk_nums: blocks of each level of the decoder, deepest first; [1, 1, 1, 1] and [2, 2, 2, 2].
        local_window: side in image pixels of the window for channel attention, instead of the whole image. The
            release's GoPro networks (NAFNetLocal) have 384, 1.5 times the training crop, so that large test images are
            averaged like crops.

    Raises:
        ValueError: encoder and decoder differ in their number of levels, or the window is smaller than a deepest pixel.
    """

    SCALE: ClassVar[int] = 1
    """The option file's `scale` has to be this."""

    def __init__(
        self,
        img_channel: int = 3,
        width: int = 32,
        enc_blk_nums: Sequence[int] = (1, 1, 1, 28),
        middle_blk_num: int = 1,
        dec_blk_nums: Sequence[int] = (1, 1, 1, 1),
        local_window: int | None = None,
    ) -> None:
        super().__init__()
        levels = len(enc_blk_nums)
        self.multiple = 2**levels
        if len(dec_blk_nums) != levels:
            raise ValueError(f"enc_blk_nums has {levels} levels, but dec_blk_nums {len(dec_blk_nums)}.")
        if local_window is not None and local_window < self.multiple:
            raise ValueError(f"local_window must be {self.multiple} or more with {levels} levels; got {local_window}.")
        sizes = [width * 2**level for level in range(levels + 1)]
        windows = [local_window and local_window // 2**level for level in range(levels + 1)]
        *scales, deepest = zip(sizes, windows, strict=True)
        self.intro = nn.Conv2d(img_channel, width, 3, padding=1)
        self.encoders = nn.ModuleList(_blocks(n, *scale) for n, scale in zip(enc_blk_nums, scales, strict=True))
        self.downs = nn.ModuleList(nn.Conv2d(size, 2 * size, 2, stride=2) for size in sizes[:-1])
        self.middle_blks = _blocks(middle_blk_num, *deepest)
        self.ups = nn.ModuleList(_upsampling(size) for size in sizes[:0:-1])
        self.decoders = nn.ModuleList(_blocks(n, *scale) for n, scale in zip(dec_blk_nums, scales[::-1], strict=True))
        self.ending = nn.Conv2d(width, img_channel, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Restore images (B, img_channel, H, W) of any size; the output has the same shape, and is not clamped."""
        height, width = x.shape[-2:]
        # zeros, as in the release: its checkpoints give its numbers
        padded = F.pad(x, (0, -width % self.multiple, 0, -height % self.multiple))
        features = self.intro(padded)
        skips = []
        for encoder, down in zip(self.encoders, self.downs, strict=True):
            features = encoder(features)
            skips.append(features)
            features = down(features)
        features = self.middle_blks(features)
        for up, decoder in zip(self.ups, self.decoders, strict=True):
            features = decoder(up(features) + skips.pop())
        return (padded + self.ending(features))[..., :height, :width]


def _blocks(number: int, channels: int, window: int | None) -> nn.Sequential:
    return nn.Sequential(*(NAFBlock(channels, window) for _ in range(number)))


def _upsampling(channels: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels, 2 * channels, 1, bias=False), nn.PixelShuffle(2))
