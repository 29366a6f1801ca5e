"""The condition c_f of LR images of any size, in windows."""

from typing import Any

from prismsr.archs.latent.sampling.enlarged_image import EnlargedImage
from prismsr.archs.latent.sampling.latent_tiling import Window

from torch import Tensor

HALO = 4
"""Latents around a window that the conditioning embedding is given, too: it sees 15 pixels to each side."""


class ConditionFeatures:
    """c_f of enlarged LR images window by window, equal to that of the whole image.

    Of an image in tiles it is computed anew at each step, which is one part in a hundred of SD-2's arithmetic there; to
    keep it would take 67 MB for 2048 x 2048 pixels. The embedding, a ConditionEmbedding, reduces the sides by `factor`,
    of which the source's are multiples. `size` is (h, w) of the whole map, in latents.
    """

    def __init__(self, embedding: Any, source: EnlargedImage, factor: int) -> None:
        self.embedding, self.source, self.factor = embedding, source, factor
        self.size = source.padded[0] // factor, source.padded[1] // factor
        self._whole: Tensor | None = None

    def of(self, window: Window) -> Tensor:
        """Return c_f (B, C, h, w) of a window in latents; that of the whole map is kept for the next time."""
        if self._whole is not None:
            return self._whole
        spans = [
            slice(max(part.start - HALO, 0), min(part.stop + HALO, length))
            for part, length in zip(window, self.size, strict=True)
        ]
        maps = self.embedding.features(self.source.window(Window(*spans).enlarge(self.factor)))
        inner = (slice(a.start - b.start, a.stop - b.start) for a, b in zip(window, spans, strict=True))
        c_f = Window(*inner).of(maps[-1])
        if c_f.shape[-2:] == self.size:
            self._whole = c_f
        return c_f
