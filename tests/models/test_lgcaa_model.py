import sys
from copy import deepcopy

from prismsr.archs.latent.sampling.sampler import Sampler
from prismsr.archs.latent.stable_diffusion import posterior_moments
from prismsr.archs.lgcaa.options import SamplingOptions
from prismsr.models.latent.options import DecodedOptions
from prismsr.models.latent_model import choose_decoded
from prismsr.models.training.model_files import save_generator
from prismsr.tools.inference.diffusers_export import export_network, load_exported, normalise_latents
from prismsr.utils.errors import OptionError
from prismsr.utils.options.optimizers import adam8bit
from prismsr.utils.weights.files import WeightsError

import lgcaa_case as case
import pytest
import torch
from basicsr.models import build_model
from diffusers import UNet2DConditionModel
from lgcaa_tiny import needs_half_precision
from torch import distributed
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel

SGD = {"type": "SGD", "lr": 0.1}
ROUNDING = 1e-10  # of gradients, sums of 1e5 terms that are below 1 together, in float64: 1e5 * 2^-53 = 1e-11


def _step(model, iteration=1, batch=None, seed=0):
    torch.manual_seed(seed)
    model.feed_data(batch or case.batch())
    model.optimize_parameters(iteration)
    return model.get_current_log()


def _state(model):
    return {name: value.clone() for name, value in model.net_g.named_parameters()}


def test_gradients_reach_exactly_what_is_trained_and_the_rest_keeps_its_bits(tmp_path):
    model = case.make(tmp_path, losses={**case.LOSSES, **case.SSL})
    before, net = _state(model), model.net_g
    for iteration in (1, 2, 3, 4):  # zero convolutions in series pass no gradient at first
        _step(model, iteration, seed=iteration)
    assert {name for name, p in net.named_parameters() if p.grad is not None} == set(net.trained)
    changed = {name for name, value in _state(model).items() if not torch.equal(value, before[name])}
    assert changed == set(net.trained)
    optimized = {id(p) for group in model.optimizer_g.param_groups for p in group["params"]}
    assert optimized == {id(p) for name, p in net.named_parameters() if name in net.trained}


def test_the_moving_average_is_of_trained_tensors_and_shares_the_others(tmp_path):
    model = case.make(tmp_path, optim_g=SGD)
    before, net, average = _state(model), model.net_g, dict(model.net_g_ema.named_parameters())
    _step(model)
    for name, parameter in net.named_parameters():
        if name in net.trained:
            assert torch.allclose(average[name], 0.9 * before[name] + 0.1 * parameter, atol=1e-7)
        else:
            assert average[name] is parameter


@pytest.mark.usefixtures("double")
def test_loss_of_the_noise_is_the_mean_squared_error(tmp_path):
    """Against the step written out."""
    model = case.make_double(tmp_path, losses={"l_noise": {"type": "NoiseLoss"}}, network={**case.NETWORK, "rgb": None})
    net, batch = deepcopy(model.net_g), case.batch()
    log = _step(model, batch=batch)
    torch.manual_seed(0)
    t = torch.randint(1000, (2,))
    posterior, noise = torch.randn(2, 4, 8, 8), torch.randn(2, 4, 8, 8)
    with torch.no_grad():
        distribution = net.vae.encode(2 * batch["gt"] - 1).latent_dist
        z = 0.18215 * (distribution.mean + distribution.std * posterior)
        betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2
        level = (1 - betas).cumprod(0)[t].view(-1, 1, 1, 1)
        lr_up = torch.nn.functional.interpolate(batch["lq"], scale_factor=4, mode="bicubic").clamp(0, 1)
        predicted, _ = net(level.sqrt() * z + (1 - level).sqrt() * noise, t, lr_up, batch["lq"])
    # the schedule is kept in float32: a product of at most 1,000 factors, each rounded by 2^-24, is right to 6e-5
    assert log["l_noise"] == pytest.approx(float((predicted - noise).square().mean()), rel=1e-4)


@pytest.mark.usefixtures("double")
def test_cached_posteriors_give_the_step_that_encoding_gives(tmp_path):
    model, cached = case.make_double(tmp_path), case.make_double(tmp_path)
    with torch.no_grad():
        moments = posterior_moments(model.net_g.vae, case.batch()["gt"])
    assert _step(cached, batch={**case.batch(), "gt_latents": moments}) == pytest.approx(_step(model), rel=ROUNDING)


@pytest.mark.usefixtures("double")
def test_accumulation_equals_the_whole_batch(tmp_path):
    states, logs = [], []
    for parts in (1, 2):
        model = case.make_double(tmp_path, accum_iter=parts, optim_g=SGD)
        logs.append([_step(model, n, case.batch(4), n) for n in (1, 2)])
        states.append(_state(model))
    assert all(torch.allclose(value, states[1][name], rtol=0, atol=ROUNDING) for name, value in states[0].items())
    for whole, divided in zip(*logs, strict=True):
        assert divided == pytest.approx(whole, rel=ROUNDING)


@pytest.mark.parametrize("dpacm", [True, False])
def test_distributed_training_waits_for_no_parameter(tmp_path, dpacm):
    """DistributedDataParallel fails in the second step where one has no gradient; in parts, checkpointed, with SSL."""
    losses = {**case.LOSSES, **case.SSL} if dpacm else {"l_noise": case.LOSSES["l_noise"]}
    network = {**case.NETWORK, "rgb": "pixelshuffle" if dpacm else None}
    train = {"losses": losses, "accum_iter": 2, "grad_checkpointing": True, "optim_g": SGD}
    alone = case.make(tmp_path, network, **train)
    distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        torch.manual_seed(0)
        model = build_model(case.options(tmp_path, network, **train) | {"dist": True})
        assert isinstance(model.net_g, DistributedDataParallel)
        model.net_g.module.load_state_dict(alone.net_g.state_dict())
        for iteration in (1, 2):
            assert _step(model, iteration) == pytest.approx(_step(alone, iteration), rel=1e-4)
    finally:
        distributed.destroy_process_group()


def test_gradient_checkpointing_changes_no_bit(tmp_path):
    states = []
    for flag in (False, True):
        model = case.make(tmp_path, grad_checkpointing=flag, optim_g=SGD)
        _step(model)
        states.append(_state(model))
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())


@needs_half_precision
def test_half_precision_with_frozen_weights_in_it(tmp_path):
    network = deepcopy(case.NETWORK)
    network["base"]["frozen_dtype"] = "bfloat16"
    model, full = case.make(tmp_path, network, amp="bf16"), case.make(tmp_path)
    assert next(model.net_g.vae.parameters()).dtype == torch.bfloat16
    assert all(p.dtype == torch.float32 for p in model.net_g.parameters() if p.requires_grad)
    assert _step(model) == pytest.approx(_step(full), rel=0.05)


def test_decoded_images_are_about_0_to_1_like_their_ground_truth(tmp_path):
    """Of a batch with hardly any noise the prediction of the clean latent decodes to the VAE's reconstruction."""
    model = case.make(tmp_path, losses={**case.LOSSES, **case.SSL})
    model.feed_data(case.batch())
    part = {**model._batch(), "timesteps": torch.tensor([0, 999])}
    _, inputs = model._run_part(part)
    with torch.no_grad():
        decoded = inputs["decoded"]
        wanted = (model.net_g.vae.decode(model._latents(model.net_g, part) / 0.18215).sample + 1) / 2
    assert (decoded["sr"][0] - wanted[0]).abs().mean() < 0.05
    assert torch.equal(decoded["gt"], part["gt"])


def test_which_samples_are_decoded():
    t = torch.tensor([700, 20, 300, 90])
    assert choose_decoded(t, DecodedOptions()).tolist() == [1, 3, 2, 0]
    assert choose_decoded(t, DecodedOptions(t_max=300, samples=2)).tolist() == [1, 3]
    assert choose_decoded(t, DecodedOptions(t_max=10)).tolist() == []


def test_where_nothing_is_decoded_image_losses_are_0(tmp_path):
    model = case.make(tmp_path, losses={**case.LOSSES, **case.SSL}, decoded={"t_max": 0})
    log = _step(model)
    assert log["l_ssl"] == log["l_pix"] == 0 and log["l_noise"] > 0


def test_checkpoint_has_trained_tensors_and_says_what_they_belong_to(tmp_path):
    model = case.make(tmp_path)
    _step(model)
    save_generator(model, 1)
    path = tmp_path / "net_g_1.pth"
    content = torch.load(path, weights_only=True)
    assert set(content["params"]) == set(content["params_ema"]) == set(model.net_g.trained)
    assert content["lgcaa"] == model.net_g.sections
    fresh = case.make(tmp_path)
    fresh.load_network(fresh.net_g, str(path))
    wanted = _state(model)
    assert all(torch.equal(value, wanted[name]) for name, value in _state(fresh).items())


def test_checkpoint_of_another_module_is_refused(tmp_path):
    save_generator(case.make(tmp_path), 1)
    path, network = str(tmp_path / "net_g_1.pth"), deepcopy(case.NETWORK)
    network["lgcaa"] = {"clamp": None}  # no tensor differs
    other = case.make(tmp_path, network)
    with pytest.raises(WeightsError, match=r"clamp: 1\.0 then"):
        other.load_network(other.net_g, path)
    other.load_network(other.net_g, path, strict=False)
    network = deepcopy(case.NETWORK)
    network["lgcaa"] = {"mode": "none"}
    model = case.make(tmp_path, network)
    with pytest.raises(WeightsError, match="mode: full then"):
        model.load_network(model.net_g, path)


def _overfitted_vae(vae, image, steps=100):
    vae.requires_grad_(True)
    optimizer = torch.optim.Adam(vae.parameters(), 1e-2)
    for _ in range(steps):
        latents = vae.encode(2 * image - 1).latent_dist.mean
        noisy = latents + 0.05 * latents.detach().std() * torch.randn_like(latents)
        loss = (vae.decode(noisy).sample - 2 * image + 1).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    vae.requires_grad_(False)
    with torch.no_grad():  # a narrow posterior
        vae.quant_conv.weight[4:].zero_()
        vae.quant_conv.bias[4:].fill_(-10)
    normalise_latents(vae, [image])


def test_overfitted_on_one_image_the_sample_is_nearer_to_it_than_bicubic(tmp_path, photograph_tensor):
    """From timestep 976 on, where an error of the noise counts 13 times in the image.

    So it has to be small: with a constant learning rate and batches of 4, 300 steps still stay behind bicubic.
    """
    gt = F.interpolate(photograph_tensor[..., 60:188, 100:228], size=16, mode="area")
    lq = F.interpolate(gt, scale_factor=0.25, mode="bicubic", antialias=True).clamp(0, 1)
    steps, noise = 160, {"l_noise": {"type": "NoiseLoss"}}
    adam = {"type": "Adam", "lr": 6e-3}
    schedule = {"type": "CosineAnnealingRestartLR", "periods": [steps], "eta_min": 1e-6}
    train = {"losses": noise, "optim_g": adam, "scheduler": schedule, "total_iter": steps}
    model = case.make(tmp_path, case.WHOLE, ema_decay=0, **train)
    _overfitted_vae(model.net_g.vae, gt)
    batch = {"gt": gt.expand(16, -1, -1, -1), "lq": lq.expand(16, -1, -1, -1)}
    for number in range(1, steps + 1):
        model.update_learning_rate(number, warmup_iter=20)
        log = _step(model, number, batch, number)
    assert log["l_noise"] < 0.06
    model.feed_data({"lq": lq})
    model.sampler = Sampler(SamplingOptions(steps=40, colour_fix="none"), 4)
    model.test()
    bicubic = F.interpolate(lq, scale_factor=4, mode="bicubic").clamp(0, 1)
    assert (model.output - gt).square().mean() < 0.5 * (bicubic - gt).square().mean()


def test_8_bit_adam_says_what_it_needs(monkeypatch):
    monkeypatch.setitem(sys.modules, "bitsandbytes.optim", None)
    with pytest.raises(OptionError, match="pip install bitsandbytes"):
        adam8bit([torch.zeros(1)])


def test_export_to_diffusers_folder_and_back(tmp_path):
    model = case.make(tmp_path)
    for iteration in (1, 2):
        _step(model, iteration)
    net = model.net_g.eval()
    export_network(net, tmp_path / "export")
    again = load_exported(tmp_path / "export").eval()
    z, t, images = torch.randn(1, 4, 8, 8), torch.tensor([300]), torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        wanted = net(z, t, images, images)[0]
        assert torch.allclose(again(z, t, images, images)[0], wanted, atol=1e-6)
        stock = UNet2DConditionModel.from_pretrained(tmp_path / "export" / "unet")
        assert set(stock.state_dict()) == {name for name in net.unet.state_dict() if ".lgcaa." not in name}
    with pytest.raises(WeightsError, match=r"no export of LGCAA"):
        load_exported(tmp_path)


@pytest.mark.usefixtures("double")
def test_normalised_latents_decode_to_the_same_image(tmp_path):
    vae = case.make_double(tmp_path).net_g.vae
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        before = vae.decode(vae.encode(2 * image - 1).latent_dist.mean).sample
        factor = normalise_latents(vae, [image])
        latents = vae.encode(2 * image - 1).latent_dist.mean
        assert (factor * latents).std() == pytest.approx(1, abs=0.01)
        assert latents.mean((0, 2, 3)).abs().max() < ROUNDING
        assert torch.allclose(vae.decode(latents).sample, before, rtol=0, atol=ROUNDING)
