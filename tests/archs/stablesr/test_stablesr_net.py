"""The whole network: what is trained, what it begins as, how it is sampled, and what is read from files."""

import copy

from prismsr.archs.latent.sampling.denoising import prepare_scheduler
from prismsr.archs.latent.sampling.sampler import Sampler
from prismsr.archs.latent.trained_parts import copy_sharing_frozen
from prismsr.archs.stablesr.options import SamplingOptions
from prismsr.utils.errors import OptionError
from prismsr.utils.weights.files import WeightsError

import pytest
import stablesr_names as names
import torch
from basicsr.archs import build_network
from published_fill import fill
from safetensors.torch import save_file
from stablesr_case import BASE, NETWORK, STRUCT, VAE, WHOLE

RESPACED = {"steps": 200, "spacing": "linspace", "start": "noise"}
FOUR = {**VAE, "block_out_channels": [8, 16, 16, 16]} | {
    "down_block_types": ["DownEncoderBlock2D"] * 4, "up_block_types": ["UpDecoderBlock2D"] * 4,
}  # fmt: skip


def build(**changes):
    torch.manual_seed(3)
    return build_network({**NETWORK, **changes})


@pytest.fixture(scope="module")
def shared():
    return build()


@pytest.fixture
def net(shared):
    return copy.deepcopy(shared)


def inputs(batch=2, size=(8, 8), seed=0):
    generator = torch.Generator().manual_seed(seed)
    z_t, z_lr = (torch.randn(batch, 4, *size, generator=generator) for _ in range(2))
    return z_t, torch.arange(batch) * 300 + 5, z_lr


def wake(net):
    """Give the layers that begin at zero other weights."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in net.parameters():
            if not parameter.any():
                parameter.copy_(0.2 * torch.randn(parameter.shape, generator=generator))
    return net


@torch.no_grad()
def test_zero_start_is_the_plain_unet_to_the_bit():
    z_t, t, z_lr = inputs()
    net = build(init="zero")
    plain = build(struct=STRUCT).unet  # the same weights of the seed
    for module in plain.modules():
        if hasattr(module, "spade"):
            module.__class__ = torch.nn.Conv2d
    expected = plain(z_t, t, net.context.expand(2, -1, -1)).sample
    assert torch.equal(net(z_t, t, z_lr), expected)
    assert not torch.equal(build()(z_t, t, z_lr), expected)
    assert not torch.equal(wake(net)(z_t, t, z_lr), expected)


def test_trained_are_the_modulated_norms_and_the_encoder(net):
    for name, parameter in net.named_parameters():
        wanted = name.startswith("encoder.") or ".spade." in name
        assert parameter.requires_grad == wanted == (name in net.trained), name
    whole = build(train_pattern=WHOLE)
    assert {name.split(".")[0] for name, p in whole.named_parameters() if not p.requires_grad} == {"vae"}
    with pytest.raises(OptionError, match=r"train_pattern.*spode"):
        build(train_pattern=["spode"])


def test_lr_latent_and_timestep_reach_each_modulated_norm(net):
    wake(net)
    z_t, t, z_lr = inputs()
    z_lr.requires_grad_()
    net(z_t, t, z_lr).square().mean().backward()
    assert z_lr.grad.any() and all(net.get_parameter(name).grad.any() for name in net.trained if ".to_k.b" not in name)
    with torch.no_grad():
        maps = [net.encoder(z_lr, t), net.encoder(z_lr, t + 1)]
    assert all(not torch.equal(a, b) for a, b in zip(*maps, strict=True))
    with pytest.raises(ValueError, match=r"LR latents"):
        net(z_t, t, z_lr[:, :, :4])


def test_a_copy_has_maps_of_its_own(net):
    average = copy_sharing_frozen(net)
    net(*inputs())
    assert net.maps.levels and not average.maps.levels
    assert {id(m.maps) for m in average.modules() if hasattr(m, "spade")} == {id(average.maps)}
    assert average.vae.encoder.conv_in.weight is net.vae.encoder.conv_in.weight
    copy.deepcopy(net)  # though it holds maps with a graph


def test_full_size_is_that_of_the_release_and_takes_its_checkpoint():
    published = {f"model.diffusion_model.{k}": v for k, v in names.unet(320, [1, 2, 4, 4], 2, 3, 1024, 256).items()}
    published |= {f"structcond_stage_model.{k}": v for k, v in names.encoder(256, [1, 1, 2, 2], 2).items()}
    with torch.device("meta"):
        net = build_network({"type": "StableSRNet", "base": {"path": None}, "context": "random"})
        state = net.convert_published({name: torch.empty(shape) for name, shape in published.items()})
    assert {k: v.shape for k, v in state.items()} == {k: v.shape for k, v in net.state_dict().items()}
    assert sum(value.numel() for value in state.values()) == 105_514_240
    assert sum(p.numel() for p in net.unet.parameters()) == 918_930_884
    assert (net.factor, net.multiple, tuple(net.context.shape)) == (8, 64, (77, 1024))


def test_schedule_is_the_release_s_respaced_ddpm():
    scheduler, timesteps = prepare_scheduler(SamplingOptions(**RESPACED))
    assert timesteps.tolist()[::-1] == torch.linspace(0, 999, 200, dtype=torch.float64).round().long().tolist()
    assert timesteps.tolist()[-3:] == [10, 5, 0] and timesteps.tolist()[:3] == [999, 994, 989]
    assert float(scheduler.alphas_cumprod[999]) == pytest.approx(0.004660, rel=1e-4, abs=5e-7)
    for place, figures in ((120, (0.014250, 0.979397, 0.029454)), (199, (0.004128, 0.970074, 0.058392))):
        t = timesteps[199 - place]
        level = scheduler.alphas_cumprod[t]
        one, zero = (torch.full((1, 1, 1, 1), value, dtype=torch.float64) for value in (1, 0))
        # x_0 = (x_t - sqrt(1 - abar) eps) / sqrt(abar): first x_0 = 1 of x_t = 0, then x_0 = 0 of x_t = 1
        means = []
        for x_t, eps in ((zero, -(level / (1 - level)).sqrt() * one), (one, one / (1 - level).sqrt())):
            means.append(_mean(scheduler, eps, t, x_t))
        found = (*means, float(scheduler._get_variance(t)))
        assert found == pytest.approx(figures, rel=1e-4, abs=5e-7)
    end = [scheduler.step(zero, torch.tensor(0), one, generator=torch.Generator().manual_seed(s))[0] for s in (0, 1)]
    assert torch.equal(*end)  # no noise in the last step


def _mean(scheduler, eps, t, x_t):
    draws = [scheduler.step(eps, t, x_t, generator=torch.Generator().manual_seed(5)).prev_sample]
    noise = torch.randn(x_t.shape, generator=torch.Generator().manual_seed(5), dtype=x_t.dtype)
    return float(draws[0] - scheduler._get_variance(t).sqrt() * noise)


def sample(net, lq, seed=0, **options):
    sampling = SamplingOptions(**{"steps": 2, "spacing": "linspace", "start": "noise", **options})
    return Sampler(sampling, 4)(net.eval(), lq, torch.Generator().manual_seed(seed))


def test_sampling_is_repeatable_and_one_tile_is_no_tile(net):
    lq = torch.rand(1, 3, 13, 18, generator=torch.Generator().manual_seed(0))
    one = sample(wake(net), lq)
    assert one.shape == (1, 3, 52, 72) and torch.equal(one, sample(net, lq))
    assert torch.equal(one, sample(net, lq, tile=0, vae_tile=0)) and not torch.equal(one, sample(net, lq, seed=1))
    assert torch.isfinite(sample(net, lq, tile=8, vae_tile=8)).all()


def test_sides_are_multiples_of_what_all_levels_halve(net):
    seen = []
    hook = net.encoder.register_forward_pre_hook(lambda module, args: seen.append(tuple(args[0].shape[2:])))
    sample(net, torch.rand(1, 3, 9, 5), steps=1, colour_fix="none")
    hook.remove()
    assert net.multiple == 8 and seen == [(10, 6)]  # 36 x 20 pixels become 40 x 24


def test_lr_latents_are_samples_of_the_posterior_or_its_mode(net):
    lq = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    posterior = net.vae.encode(2 * lq - 1).latent_dist
    drawn = net.sample_lr(posterior.parameters, torch.ones(2, 4, 2, 2))
    assert torch.allclose(net.sample_lr(posterior.parameters, None), 0.18215 * posterior.mean)
    assert torch.allclose(drawn, 0.18215 * (posterior.mean + posterior.std))
    shape, device = torch.Size((2, 4, 2, 2)), torch.device("cpu")
    assert set(net.process.draw(shape, device)) == {"posterior", "noise", "timesteps", "lq_posterior"}
    assert "lq_posterior" not in build(lr_posterior="mode").process.draw(shape, device)


@pytest.fixture
def wrapped(tmp_path):
    shapes = names.autoencoder(8, [1, 2, 2, 2], 1)
    torch.save({"state_dict": fill(shapes), "epoch": 3}, tmp_path / "cfw.ckpt")
    return build(base={**BASE, "vae": FOUR}, cfw=str(tmp_path / "cfw.ckpt"))


@torch.no_grad()
def test_feature_wrapping_is_read_and_weighed(wrapped, tmp_path):
    lq = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    plain = build(base={**BASE, "vae": FOUR})
    results = {weight: sample(wrapped, lq, cfw_weight=weight) for weight in (0.0, 1e-3, 0.5)}
    assert torch.equal(results[0.0], sample(plain, lq))
    small, large = ((results[weight] - results[0.0]).abs().mean() for weight in (1e-3, 0.5))
    assert 0 < small < 0.02 < large
    tiled = sample(wrapped, lq, cfw_weight=0.5, vae_tile=6)
    assert tiled.shape == results[0.5].shape and (tiled - results[0.5]).abs().mean() < 0.1
    assert not any(name.startswith("cfw") for name in wrapped.state_dict())
    save_file({k: v.contiguous() for k, v in wrapped.cfw.state_dict().items()}, tmp_path / "ours.safetensors")
    again = build(base={**BASE, "vae": FOUR}, cfw=str(tmp_path / "ours.safetensors"))
    assert torch.equal(
        again.cfw.fusion_layer_1.encode_enc_1.conv1.weight, wrapped.cfw.fusion_layer_1.encode_enc_1.conv1.weight
    )
    with pytest.raises(WeightsError, match=r"network_g\.cfw"):
        wrapped.convert_published({"decoder.fusion_layer_1.x.weight": torch.zeros(1)})


def test_wrong_options_are_told_with_their_key(tmp_path):
    for changes, told in (
        ({"struct": {**STRUCT, "mult": [1, 2, 2]}}, r"struct\.mult.*3 levels, the UNet has 2"),
        ({"struct": {**STRUCT, "heads": 5}}, "heads must divide"),
        ({"base": {"path": "some/folder", "unet": {"layers_per_block": 1}}}, "unet is for random weights"),
    ):
        with pytest.raises(OptionError, match=f"(?s){told}"):
            build(**changes)
    with pytest.raises(WeightsError, match=r"prompt\.safetensors"):
        build(context=str(tmp_path / "prompt.safetensors"))
