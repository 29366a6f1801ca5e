"""VAE tiles beside the whole image, by a VAE with random weights."""

from prismsr.archs.latent.sampling.enlarged_image import EnlargedImage
from prismsr.archs.latent.sampling.vae_tiles import decode_tiled, encode_tiled
from prismsr.archs.latent.stable_diffusion import build_vae, decode_latents, encode_images
from prismsr.archs.lgcaa.options import BaseOptions, SamplingOptions

import pytest
import torch
from lgcaa_tiny import VAE


@pytest.fixture(scope="module")
def photograph():
    """Brighter towards the right, and rougher: tiles have statistics of their own."""
    noise = torch.rand(1, 3, 40, 160, generator=torch.Generator().manual_seed(0)) - 0.5
    slope = torch.linspace(0, 1, 160)
    return EnlargedImage((0.2 + 0.6 * slope + 0.6 * slope * noise).clamp(0, 1), (160, 640), 8)


def _whole(source):
    return source.rows(0, source.size[0])


def _vae(**changes):
    return build_vae(BaseOptions(path=None, vae={**VAE, **changes}, seed=0))


def _options(stages=8, tile=40, overlap=20):
    return SamplingOptions(vae_tile=tile, vae_overlap=overlap, vae_norm_stages=stages)


@torch.no_grad()
@pytest.mark.parametrize(("attention", "limit"), [(False, 1e-4), (True, 0.3)])
def test_tiles_with_shared_norms_are_the_whole_but_for_attention(photograph, attention, limit):
    """With all norms' statistics, and a core that sees no border; and they help where attention sees a tile alone."""
    vae = _vae(mid_block_add_attention=attention)
    latents = encode_images(vae, _whole(photograph), sample=False)
    image = decode_latents(vae, latents)
    errors = []
    for stages in (0, 99):
        options = _options(stages)
        found = encode_tiled(vae, photograph, options), decode_tiled(vae, latents, options)
        assert found[0].shape == latents.shape and found[1].shape == image.shape
        errors.append([(a - b).square().mean() / b.var() for a, b in zip(found, (latents, image), strict=True)])
    for own, shared in zip(*errors, strict=True):
        assert own > 0.1 and shared < limit * own


@torch.no_grad()
def test_one_tile_is_no_tile(photograph):
    vae = _vae()
    latents = encode_images(vae, _whole(photograph), sample=False)
    for options in (_options(tile=0), _options(tile=80)):
        assert torch.equal(encode_tiled(vae, photograph, options), latents)
        assert torch.equal(decode_tiled(vae, latents, options), decode_latents(vae, latents))
