from copy import deepcopy

from prismsr.archs.latent.sampling.sampler import Sampler
from prismsr.archs.latent.sampling.vae_tiles import decode_tiled
from prismsr.archs.resshift.options import ResShiftSampling
from prismsr.archs.resshift.vq_model import decode_latents
from prismsr.models.training.model_files import save_generator
from prismsr.utils.weights.files import WeightsError

import pytest
import resshift_case as case
import torch
from latent_steps import assert_wrapped_steps_equal, copy_parameters, take_step
from lgcaa_tiny import needs_half_precision
from published_fill import wave
from torch.nn import functional as F

SGD = {"type": "SGD", "lr": 0.1}


def _step(model, iteration=1, batch=None, seed=0):
    return take_step(model, batch or case.batch(), iteration, seed)


def test_a_step_is_the_releases(tmp_path):
    """Losses and gradient norms that the release's network and losses gave, with SSL's and L1's on decoded images."""
    norms, values = {}, {}
    for name, written in {"l_latent": 127.9305, "l_ssl": 2.0994, "l_pix": 0.7516}.items():
        model = case.make(tmp_path, {"type": "ResShiftNet", **case.TINY}, losses={name: case.LOSSES[name]}, ema_decay=0)
        model.net_g.load_state_dict(case.make_net().state_dict())
        case.fill_vq(model.net_g.vae, case.VQOptions.model_validate(case.VQ))
        lq, gt = ((wave(1, 3, side, side, k=k) + 1) / 2 for side, k in ((16, 0.05), (32, 0.07)))
        model.feed_data({"lq": lq, "gt": gt})
        part = {**model.batch, "timesteps": torch.tensor([2]), "noise": wave(1, 3, 16, 16, k=0.9)}
        _, inputs = model._run_part(part)
        (value,) = model._evaluate_terms(inputs).values()
        value.backward()
        trained = dict(model.net_g.unet.named_parameters())
        assert all(parameter.grad is not None for parameter in trained.values())
        assert all(parameter.grad is None for parameter in model.net_g.vae.parameters())
        norms[name] = float(torch.stack([p.grad.square().sum() for p in trained.values()]).sum().sqrt())
        values[name] = value.item()
        assert norms[name] == pytest.approx(written, rel=1e-4, abs=5e-5)
    assert values["l_latent"] == pytest.approx(1.805490, rel=1e-4)
    assert values["l_ssl"] == pytest.approx(0.015206, rel=1e-4, abs=5e-7)
    assert values["l_pix"] == pytest.approx(0.0398136, rel=1e-4)


def test_gradients_reach_the_unet_alone_and_the_average_shares_the_rest(tmp_path):
    model = case.make(tmp_path, optim_g=SGD)
    net, average = model.net_g, dict(model.net_g_ema.named_parameters())
    before = copy_parameters(net)
    _step(model)
    _step(model, 2)  # residual branches begin at zero, and pass no gradient at first
    changed = {name for name, value in net.named_parameters() if not torch.equal(value, before[name])}
    assert changed == set(net.trained) == {name for name in before if name.startswith("unet.")}
    assert all(average[name] is value for name, value in net.vae.named_parameters("vae"))
    assert not net.vae.training and net.training


def test_the_moving_average_follows(tmp_path):
    model = case.make(tmp_path, optim_g=SGD)
    before, average = copy_parameters(model.net_g), dict(model.net_g_ema.named_parameters())
    _step(model)
    after = copy_parameters(model.net_g)
    for name in model.net_g.trained:
        assert torch.allclose(average[name], 0.9 * before[name] + 0.1 * after[name], atol=1e-7)


def test_images_are_decoded_about_0_to_1(tmp_path):
    """A prediction that is right decodes to what the autoencoder makes of GT."""
    model = case.make(tmp_path)
    model.feed_data(case.batch())
    part = model._batch()
    with torch.no_grad():
        latents = model._latents(model.net_g, part)
        model._predict = lambda z_t, part: (latents, {})
        _, inputs = model._run_part(part)
        wanted = (model.net_g.vae.decode(latents).sample + 1) / 2
        assert torch.allclose(inputs["decoded"]["sr"], wanted[part["timesteps"].argsort(stable=True)], atol=1e-6)
    assert float(model._evaluate_terms(inputs)["l_latent"]) == 0


def test_the_lr_latents_are_of_the_enlarged_image_as_it_is(tmp_path):
    model = case.make(tmp_path)
    lq = torch.zeros(2, 3, 8, 8)
    lq[..., 4:] = 1  # bicubic enlarging overshoots beside an edge
    model.feed_data({"lq": lq, "gt": case.batch()["gt"]})
    enlarged = F.interpolate(lq, scale_factor=4, mode="bicubic")
    assert enlarged.max() > 1.01
    with torch.no_grad():
        wanted = model.net_g.vae.encode(2 * enlarged - 1).latents
        assert torch.equal(model._condition(model.net_g, model.batch)["lq_latents"], wanted)


def test_checkpointing_and_accumulation_change_nothing(tmp_path):
    states = []
    for train in ({}, {"grad_checkpointing": True}):
        model = case.make(tmp_path, optim_g=SGD, **train)
        _step(model)
        _step(model, 2)
        states.append(copy_parameters(model.net_g.unet))
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())
    states = []
    losses = {"l_latent": case.LOSSES["l_latent"], "l_pix": case.LOSSES["l_pix"]}
    for parts in (1, 2):
        model = case.make(tmp_path, optim_g=SGD, accum_iter=parts, losses=losses)
        _step(model, batch=case.batch(4))
        states.append(copy_parameters(model.net_g.unet))
    assert all(torch.allclose(value, states[1][name], atol=1e-6) for name, value in states[0].items())


def test_distributed_training_waits_for_no_parameter(tmp_path):
    alone = case.make(tmp_path, optim_g=SGD)
    assert_wrapped_steps_equal(alone, case.options(tmp_path, optim_g=SGD), case.batch(), tmp_path)


@needs_half_precision
def test_half_precision_looks_codes_up_in_float32(tmp_path):
    model, full = case.make(tmp_path, amp="bf16"), case.make(tmp_path)
    seen = []
    quantize = model.net_g.vae.quantize
    quantize.register_forward_hook(lambda module, inputs, output: seen.append((inputs[0].dtype, output[0].dtype)))
    assert _step(model) == pytest.approx(_step(full), rel=0.1)
    assert set(seen) == {(torch.float32, torch.float32)}


def test_files_hold_the_unet_and_remember_the_schedule(tmp_path):
    model = case.make(tmp_path)
    _step(model)
    save_generator(model, 1)
    path = tmp_path / "net_g_1.pth"
    content = torch.load(path, weights_only=True)
    assert content["params"].keys() == content["params_ema"].keys() == set(model.net_g.trained)
    assert content["resshift"]["schedule"]["steps"] == 4
    other = case.make(tmp_path, deepcopy(case.NETWORK))
    other.load_network(other.net_g, str(path))
    assert all(torch.equal(value, content["params"][name]) for name, value in other.net_g.state_dict().items())
    longer = case.make(tmp_path, {**case.NETWORK, "schedule": {"steps": 5}})
    with pytest.raises(WeightsError, match=r"network_g\.schedule"):
        longer.load_network(longer.net_g, str(path))


def test_a_photograph_is_sampled_in_validation(tmp_path):
    model = case.make(tmp_path)
    _step(model)
    model.feed_data({"lq": torch.rand(1, 3, 9, 13)})
    torch.manual_seed(0)
    model.test()
    assert model.output.shape == (1, 3, 36, 52)
    assert model.output.min() >= 0 and model.output.max() <= 1
    first = model.output
    torch.manual_seed(0)
    model.test()
    assert torch.equal(first, model.output)
    assert model.net_g.training


@torch.no_grad()
def test_one_tile_is_no_tile_and_several_keep_to_the_windows(tmp_path):
    network = {**case.NETWORK, "vq": {**case.NETWORK["vq"], "attention": False}}
    net = case.make(tmp_path, network).net_g.eval()
    for parameter in net.unet.parameters():
        parameter.add_(0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(parameter.numel())))
    lq = torch.rand(1, 3, 10, 18, generator=torch.Generator().manual_seed(0))

    def sample(**options):
        sampler = Sampler(ResShiftSampling.model_validate(options), 4)
        return sampler(net, lq, torch.Generator().manual_seed(3))

    whole = sample(tile=0, vae_tile=0)
    assert torch.equal(whole, sample(tile=20, vae_tile=20))  # 12 x 20 latents, with what is mirrored
    tiled = sample(tile=8, tile_overlap=2, vae_tile=0)
    assert tiled.shape == whole.shape and not torch.equal(tiled, whole)
    latents = torch.rand(1, 3, 28, 28, generator=torch.Generator().manual_seed(1)) / 16  # its codes are as small
    options = ResShiftSampling(vae_tile=20, vae_overlap=10, vae_norm_stages=100)
    whole, plain = net.decode(latents), decode_latents(net.vae, latents, quantize=False)
    tiled = decode_tiled(net.vae, latents, options, net.decode)
    assert (tiled - whole).abs().mean() < 0.5 * (plain - whole).abs().mean()  # its borders, not the codes


@torch.no_grad()
def test_an_image_of_whole_windows_is_sampled_as_the_formulas_say(tmp_path):
    net = case.make(tmp_path).net_g.eval()
    lq, shape = torch.rand(1, 3, 8, 12), torch.Size((1, 3, 8, 12))
    result = Sampler(ResShiftSampling(), 4)(net, lq, torch.Generator().manual_seed(3))
    start = net.encode(F.interpolate(lq, scale_factor=4, mode="bicubic"))
    generator = torch.Generator().manual_seed(3)
    latents = net.process.denoise(lambda z, t: net(z, t, lq), start, shape, None, generator)
    assert torch.allclose(result, net.decode(latents).clamp(0, 1), atol=1e-4)
