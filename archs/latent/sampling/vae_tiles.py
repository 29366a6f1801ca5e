"""Encode and decode images of any size by an autoencoder of diffusers in tiles, with the memory of one tile.

The middle attention sees a tile alone, as in diffusers' own tiling. Statistics of group norms are shared between tiles,
see SharedNorms, or those of each tile, which shows as a change of tone from one to the next.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from prismsr.archs.latent.sampling.enlarged_image import EnlargedImage
from prismsr.archs.latent.sampling.latent_tiling import Window, blend_windows, split_cores, split_map
from prismsr.archs.latent.sampling.options import LatentSampling
from prismsr.archs.latent.sampling.shared_norms import SharedNorms, Tile
from prismsr.archs.latent.stable_diffusion import decode_latents, encode_images, vae_factor

from torch import Tensor


def encode_tiled(
    vae: Any, source: EnlargedImage, options: LatentSampling, encode: Callable[[Tensor], Tensor] | None = None
) -> Tensor:
    """Return scaled latents (B, 4, H / 8, W / 8), the posterior's mode, of enlarged LR images padded to multiples of 8.

    The VAE is an AutoencoderKL, or another with `encode`, which gives the latents of images in another way. Of the
    options vae_tile, vae_overlap and vae_norm_stages are read.
    """
    factor = vae_factor(vae)
    encode = encode or partial(encode_images, vae, sample=False)

    def run(window: Window) -> Tensor:
        return encode(source.window(window.enlarge(factor)))

    size = source.padded[0] // factor, source.padded[1] // factor
    return run_in_tiles(vae.encoder, run, size, 1, options).float()


def decode_tiled(
    vae: Any, latents: Tensor, options: LatentSampling, decode: Callable[[Tensor], Tensor] | None = None
) -> Tensor:
    """Return RGB images (B, 3, 8 h, 8 w), about [0, 1], of scaled latents (B, 4, h, w); on the CPU if there are tiles.

    The latents are on the VAE's device. See `encode_tiled`; so `decode`.
    """
    size = latents.shape[-2], latents.shape[-1]
    decode = decode or partial(decode_latents, vae)
    if len(split_map(*size, options.vae_tile, options.vae_overlap)) == 1:
        return decode(latents).float()

    def run(window: Window) -> Tensor:
        return decode(window.of(latents)).float().cpu()

    return run_in_tiles(vae.decoder, run, size, vae_factor(vae), options)


def run_in_tiles(
    network: Any, run: Callable[[Window], Tensor], size: tuple[int, int], factor: int, options: LatentSampling
) -> Tensor:
    """Return the blended tiles of a map of `size` latents, enlarged by `factor`; `run` calls `network`."""
    tile, overlap = options.vae_tile, options.vae_overlap
    if options.vae_norm_stages == 0 or len(split_map(*size, tile, overlap)) == 1:
        return blend_windows(run, *size, tile, overlap, factor)
    norms = SharedNorms(network)
    tiles = zip(split_map(*size, tile, overlap), split_cores(*size, tile, overlap), strict=True)
    norms.measure([Tile(partial(run, window), window.size, core) for window, core in tiles], options.vae_norm_stages)
    with norms.apply_statistics():
        return blend_windows(run, *size, tile, overlap, factor)
