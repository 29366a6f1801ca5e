from prismsr.archs.latent.sampling.denoising import denoise, prepare_scheduler
from prismsr.archs.latent.sampling.sampler import Sampler
from prismsr.archs.lgcaa.options import SamplingOptions

import pytest
import torch
from basicsr.archs import build_network
from lgcaa_tiny import NETWORK
from pydantic import ValidationError


@pytest.fixture(scope="module")
def net():
    return build_network(NETWORK).eval()


def _sampled(net, lq, seed=0, scale=4, **options):
    sampler = Sampler(SamplingOptions(**{"steps": 3, "tile": 0, "vae_tile": 0, **options}), scale)
    return sampler(net, lq, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", ["ddpm", "ddim", "dpm++"])
def test_scheduler_is_sd2s_and_does_not_clip(name):
    scheduler, timesteps = prepare_scheduler(SamplingOptions(scheduler=name))
    assert not scheduler.config.get("clip_sample", False) and scheduler.config.prediction_type == "epsilon"
    assert len(timesteps) == 40
    if name != "dpm++":
        assert timesteps[:2].tolist() == [976, 951] and timesteps[-1] == 1
    assert scheduler.alphas_cumprod[999].sqrt() == pytest.approx(0.0683, abs=1e-4)


@pytest.mark.parametrize(
    ("spacing", "start", "expected"),
    [("leading", 301, 301), ("leading", 300, 276), ("leading", 1, 1), ("leading", 999, 976), ("trailing", 5, 24)],
)
def test_sampling_begins_at_start_timestep_or_the_next_one_below(spacing, start, expected):
    """Where all lie above it the last one is left."""
    _, timesteps = prepare_scheduler(SamplingOptions(steps=40, spacing=spacing, start_timestep=start))
    assert timesteps.tolist() == list(range(expected, 0, -25))


@pytest.mark.parametrize("name", ["ddpm", "ddim", "dpm++"])
@pytest.mark.parametrize("options", [{"steps": 20}, {"steps": 40, "start_timestep": 300}])
def test_the_right_noise_leads_back_to_the_image(name, options):
    """A predictor that knows the clean latent: whatever the schedule, sampling ends there."""
    settings = SamplingOptions(scheduler=name, **options)
    scheduler, timesteps = prepare_scheduler(settings)
    clean = torch.randn(1, 4, 6, 6, generator=torch.Generator().manual_seed(1))
    seen = []

    def predict(z, t):
        level = scheduler.alphas_cumprod[int(t)]
        seen.append(int(t))
        return (z - level.sqrt() * clean) / (1 - level).sqrt()

    result = denoise(predict, clean, clean.shape, settings, torch.Generator().manual_seed(0))
    assert (result - clean).abs().max() < 0.15  # ddim ends at abar_0, not at 1
    assert seen == timesteps.tolist() and seen[0] <= options.get("start_timestep", 999)


def test_start_is_the_lr_image_noised_to_the_first_timestep():
    settings, lr = SamplingOptions(steps=40), torch.randn(1, 4, 4, 4, generator=torch.Generator().manual_seed(1))
    seen = []

    def predict(z, t):
        seen.append(z)
        return z

    denoise(predict, lr, lr.shape, settings, torch.Generator().manual_seed(3))
    noise = torch.randn(lr.shape, generator=torch.Generator().manual_seed(3))
    level = prepare_scheduler(settings)[0].alphas_cumprod[976]
    assert torch.allclose(seen[0], level.sqrt() * lr + (1 - level).sqrt() * noise)
    seen.clear()
    denoise(predict, None, lr.shape, settings, torch.Generator().manual_seed(3))
    assert torch.equal(seen[0], noise)


@pytest.mark.parametrize("name", ["ddpm", "ddim", "dpm++"])
def test_noise_follows_the_predictions_to_their_device(name):
    """From noise alone the first latents are on the CPU, and a network's predictions are not."""
    shape, settings = torch.Size((1, 4, 2, 2)), SamplingOptions(steps=2, scheduler=name)
    result = denoise(lambda z, t: torch.zeros(shape, device="meta"), None, shape, settings, torch.Generator())
    assert result.device.type == "meta"


def test_equal_seeds_give_equal_images(net):
    lq = torch.rand(1, 3, 12, 16, generator=torch.Generator().manual_seed(0))
    one = _sampled(net, lq)
    assert torch.equal(one, _sampled(net, lq)) and not torch.equal(one, _sampled(net, lq, seed=1))
    assert not torch.equal(one, _sampled(net, lq, start="noise"))
    assert one.min() >= 0 and one.max() <= 1


def test_control_scale_reaches_the_network(net):
    seen = []
    hook = net.register_forward_pre_hook(
        lambda module, args, given: seen.append(given["control_scale"]), with_kwargs=True
    )
    lq = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    for options in ({}, {"control_scale": 0.25}):
        _sampled(net, lq, steps=1, **options)
    hook.remove()
    assert seen == [1.0, 0.25]


@pytest.mark.parametrize(("size", "scale"), [((13, 17), 4), ((1, 9), 3), ((20, 21), 1), ((5, 7), 8)])
def test_any_size_and_scale(net, size, scale):
    assert _sampled(net, torch.rand(1, 3, *size), scale=scale, steps=1).shape[2:] == (size[0] * scale, size[1] * scale)


def test_small_outputs_are_sampled_larger(net):
    seen = []
    hook = net.register_forward_pre_hook(lambda module, args: seen.append(tuple(args[0].shape[2:])))
    assert _sampled(net, torch.rand(1, 3, 6, 9), steps=1, min_side=64).shape[2:] == (24, 36)
    hook.remove()
    assert seen == [(8, 12)]  # 64 x 96


def test_one_tile_is_no_tile(net):
    lq = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    assert torch.equal(_sampled(net, lq), _sampled(net, lq, tile=64, vae_tile=64))


def test_tiles_resemble_the_whole_and_have_no_seam(net):
    lq = torch.rand(1, 3, 8, 10, generator=torch.Generator().manual_seed(0))
    lq = torch.nn.functional.interpolate(lq, scale_factor=4, mode="bicubic").clamp(0, 1)
    whole = _sampled(net, lq, start_timestep=300, colour_fix="wavelet")
    tiled = _sampled(
        net, lq, start_timestep=300, colour_fix="wavelet", tile=12, tile_overlap=6, vae_tile=12, vae_overlap=6
    )
    assert (whole - tiled).abs().mean() < 0.1  # the random UNet sees all of the tile
    jumps = (tiled - whole).diff(dim=-1).abs().mean((0, 1, 2))
    seams = jumps[[31, 71, 87, 119]]  # tiles of 11 latents in 20 begin at 4 and 9, and end at 11 and 15
    assert seams.max() < 3 * jumps.mean()


@pytest.mark.parametrize(("tile", "overlap"), [(64, 16), (32, 16), (12, 6), (0, 16)])
def test_a_tile_alone_gets_an_overlap_that_fits(tile, overlap):
    options = SamplingOptions(tile=tile, vae_tile=tile)
    assert (options.tile_overlap, options.vae_overlap) == (overlap, overlap)


def test_too_wide_overlaps_are_refused():
    with pytest.raises(ValidationError, match="at most half"):
        SamplingOptions(tile=32, tile_overlap=17)
