"""Encode and decode images of any size by an AutoencoderKL in tiles, with the memory of one tile.

Each tile has its own group-norm statistics and its own attention, so that tones may differ a little between tiles;
overlaps hide the seams, and the colour fix takes the rest. diffusers' own tiling does so, too.
"""

from typing import Any

from prismsr.archs.stable_diffusion import decode_latents, encode_images, vae_factor
from prismsr.utils.latent_tiling import Window, blended

from torch import Tensor

HALO = 4
"""Latents around a tile by which the conditioning embedding's tiles are larger: it sees 15 pixels to each side."""


def encode_tiled(vae: Any, images: Tensor, tile: int, overlap: int) -> Tensor:
    """Scaled latents (B, 4, H / 8, W / 8), the posterior's mode, of RGB images (B, 3, H, W) in [0, 1].

    Args:
        vae: AutoencoderKL.
        images: sides are multiples of 8.
        tile: side of the tiles in latents; 0: the whole image at once.
        overlap: latents that neighbours share.
    """
    factor = vae_factor(vae)
    height, width = (side // factor for side in images.shape[-2:])

    def run(window: Window) -> Tensor:
        return encode_images(vae, window.enlarged(factor).of(images), sample=False)

    return blended(run, height, width, tile, overlap).float()


def decode_tiled(vae: Any, latents: Tensor, tile: int, overlap: int) -> Tensor:
    """RGB images (B, 3, 8 h, 8 w), about [0, 1], of scaled latents (B, 4, h, w); on the CPU where there are tiles.

    Args:
        vae: AutoencoderKL.
        latents: on the VAE's device.
        tile: side of the tiles in latents; 0: the whole image at once.
        overlap: latents that neighbours share.
    """
    if tile == 0 or max(latents.shape[-2:]) <= tile:
        return decode_latents(vae, latents).float()
    height, width = latents.shape[-2:]

    def run(window: Window) -> Tensor:
        return decode_latents(vae, window.of(latents)).float().cpu()

    return blended(run, height, width, tile, overlap, vae_factor(vae))


def features_tiled(embedding: Any, images: Tensor, factor: int, tile: int) -> Tensor:
    """c_f (B, C, H / 8, W / 8) of images (B, 3, H, W), equal to that of the whole image, tile by tile.

    Args:
        embedding: ConditionEmbedding.
        images: RGB in [0, 1], sides are multiples of `factor`.
        factor: by which the embedding reduces the sides.
        tile: side of the tiles in latents; 0: the whole image at once.
    """
    height, width = (side // factor for side in images.shape[-2:])
    if tile == 0 or max(height, width) <= tile:
        whole: Tensor = embedding.features(images)[-1]
        return whole
    result: Tensor | None = None
    for top in range(0, height, tile):
        for left in range(0, width, tile):
            outer = Window(
                slice(max(top - HALO, 0), min(top + tile + HALO, height)),
                slice(max(left - HALO, 0), min(left + tile + HALO, width)),
            )
            part = embedding.features(outer.enlarged(factor).of(images))[-1]
            if result is None:
                result = part.new_empty(*part.shape[:2], height, width)
            inner = Window(slice(top, min(top + tile, height)), slice(left, min(left + tile, width)))
            own = Window(
                *(slice(a.start - b.start, a.stop - b.start) for a, b in zip(inner, outer, strict=True)),
            )
            inner.of(result).copy_(own.of(part))
    assert result is not None
    return result
