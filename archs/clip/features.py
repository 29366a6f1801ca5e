"""CLIP's image encoder as SFD uses it: three middle maps and the final vector from one pass of a frozen ResNet.

Paper: SFD, features of eq. 3 and 8.
"""

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any, Literal, NamedTuple

from prismsr.archs.frozen import Frozen
from prismsr.utils.full_precision import widen

import torch
from torch import Tensor, nn
from torch.nn import functional as F

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
PosEmbedding = Literal["none", "1d", "2d"]


class ClipFeatures(NamedTuple):
    """What a CLIP image encoder says about B images.

    middle: F_m1, F_m2, F_m3 of the paper, (B, C_i, H_i, W_i), finest first; empty where they were not asked for.
    final: F_out, (B, D), not normalised; None where it was not asked for.
    """

    middle: tuple[Tensor, ...] = ()
    final: Tensor | None = None

    def detach(self) -> "ClipFeatures":
        """Return the same values without their graph."""
        return ClipFeatures(tuple(map(Tensor.detach, self.middle)), None if self.final is None else self.final.detach())

    def split(self, sizes: Sequence[int]) -> list["ClipFeatures"]:
        """Cut the batch into parts of the given sizes, which add up to B."""
        maps = list(zip(*(level.split(list(sizes)) for level in self.middle), strict=True)) or [()] * len(sizes)
        finals = [None] * len(sizes) if self.final is None else self.final.split(list(sizes))
        return [ClipFeatures(*part) for part in zip(maps, finals, strict=True)]

    @staticmethod
    def cat(parts: Sequence["ClipFeatures"]) -> "ClipFeatures":
        """Join batches of images of one size, all with the same fields."""
        finals = [part.final for part in parts if part.final is not None]
        maps = zip(*(part.middle for part in parts), strict=True)
        return ClipFeatures(tuple(torch.cat(level) for level in maps), torch.cat(finals) if finals else None)


class ClipImageEncoder(Frozen):
    """A frozen CLIP ResNet, E_i of the paper (Semantic Feature Discrimination, CVPR 2025).

    The paper names neither the backbone nor the layers. Our reconstruction: RN50, the outputs of layer1 to layer3 as
    middle features; images are not resized, and its attention pooling runs without positional embedding (as CLIP-IQA
    does), which alone would tie it to 224 x 224.

    Args:
        visual: image tower of an open_clip model (its ModifiedResNet).
        layers: which three of its layers 1 to 4 are the middle features, in rising order.
        pos_embedding: "none"; or the pretrained embedding resampled bicubically to the image's size, as 50 rows in a
            line ("1d") or as a 7 x 7 grid ("2d"). The latter two are CLIP's own pooling at 224 x 224.
        autocast: let the trunk take part in half precision. The pooling stays in float32, but the final vector
            inherits the trunk's rounding, and a logit multiplies differences of it by 100.

    Attributes:
        channels: widths of the middle maps; (256, 512, 1024) for RN50.
        embed_dim: length D of the final vector; 1024 for RN50.

    Raises:
        ValueError: layers is no rising triple from 1 to 4.
    """

    visual: Any  # open_clip is not typed
    mean: Tensor
    std: Tensor

    def __init__(
        self,
        visual: nn.Module,
        layers: tuple[int, int, int] = (1, 2, 3),
        pos_embedding: PosEmbedding = "none",
        autocast: bool = False,
    ) -> None:
        super().__init__()
        self.layers = tuple(layers)
        if self.layers not in ((1, 2, 3), (1, 2, 4), (1, 3, 4), (2, 3, 4)):
            raise ValueError(f"layers is {list(layers)}; allowed: three of 1, 2, 3, 4 in rising order.")
        self.visual, self.pos_embedding, self.autocast = visual, pos_embedding, autocast
        self.channels = tuple(self._level(number)[-1].conv3.out_channels for number in self.layers)
        self.embed_dim: int = self.visual.attnpool.c_proj.out_features
        self.register_buffer("mean", torch.tensor(CLIP_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(CLIP_STD).view(1, 3, 1, 1), persistent=False)
        self.eval().requires_grad_(False)

    def forward(self, images: Tensor, middle: bool = True, final: bool = True) -> ClipFeatures:
        """Return features of RGB images (B, 3, H, W) in [0, 1], differentiable to them; values beyond are not clamped.

        Args:
            images: of any size of at least 32 x 32 (16 x 16 without layer 4); each level floors its size.
            middle: whether the maps are wanted.
            final: whether the vector is wanted. Without it nothing is computed beyond the deepest map.

        Raises:
            ValueError: the images are too small.
        """
        deepest = 4 if final else (self.layers[-1] if middle else 0)
        if min(images.shape[-2:]) < 2 ** (deepest + 1):
            raise ValueError(f"Images of {tuple(images.shape[-2:])} are too small: CLIP's layer {deepest} is empty.")
        with nullcontext() if self.autocast else torch.autocast(images.device.type, enabled=False):
            levels = self._trunk(widen(images), deepest)
        maps = tuple(levels[number] for number in self.layers) if middle else ()
        return ClipFeatures(maps, self._pool(levels[4]) if final else None)

    def _level(self, number: int) -> Any:
        return getattr(self.visual, f"layer{number}")

    def _trunk(self, images: Tensor, deepest: int) -> dict[int, Tensor]:
        levels: dict[int, Tensor] = {}
        if deepest == 0:
            return levels
        x = self.visual.stem((images - self.mean) / self.std)
        for number in range(1, deepest + 1):
            x = levels[number] = self._level(number)(x)
        return levels

    def _pool(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            return pool_attention(widen(x), self.visual.attnpool, self.pos_embedding)


def pool_attention(x: Tensor, pool: Any, pos_embedding: PosEmbedding = "none") -> Tensor:
    """Return CLIP's attention pooling for any size, vectors (B, D): the mean of all positions looks at them and itself.

    Args:
        x: map of the last layer (B, C, h, w).
        pool: open_clip's AttentionPool2d, which gives the weights.
        pos_embedding: see ClipImageEncoder.
    """
    batch, channels, height, width = x.shape
    tokens = x.flatten(2).transpose(1, 2)
    tokens = torch.cat([tokens.mean(1, keepdim=True), tokens], dim=1)
    if pos_embedding != "none":
        tokens = tokens + position_rows(pool.positional_embedding, (height, width), pos_embedding)

    def heads(projected: Tensor) -> Tensor:
        return projected.view(batch, -1, pool.num_heads, channels // pool.num_heads).transpose(1, 2)

    query, key, value = heads(pool.q_proj(tokens[:, :1])), heads(pool.k_proj(tokens)), heads(pool.v_proj(tokens))
    pooled = F.scaled_dot_product_attention(query, key, value)
    return pool.c_proj(pooled.transpose(1, 2).reshape(batch, channels))


def position_rows(embedding: Tensor, size: tuple[int, int], kind: Literal["1d", "2d"]) -> Tensor:
    """Return positional embedding (1 + s * s, C) resampled for a map (h, w): (1 + h * w, C), bicubic.

    The first row is that of the mean, then comes the s x s grid. "1d" resamples all rows as one line, "2d" the grid,
    with the first row kept.
    """
    rows = 1 + size[0] * size[1]
    if kind == "1d":
        line = embedding.t()[None, :, :, None]
        return F.interpolate(line, (rows, 1), mode="bicubic", align_corners=False)[0, :, :, 0].t()
    side = round((len(embedding) - 1) ** 0.5)
    grid = embedding[1:].t().reshape(1, -1, side, side)
    grid = F.interpolate(grid, size, mode="bicubic", align_corners=False)
    return torch.cat([embedding[:1], grid[0].flatten(1).t()])
