"""StableSR's training step: what is learnt of what, where gradients go, and what a file holds."""

from copy import deepcopy

from prismsr.models.training.model_files import save_generator

import pytest
import stablesr_case as case
import torch
from latent_steps import assert_wrapped_steps_equal, copy_parameters, take_step
from lgcaa_case import batch
from lgcaa_tiny import needs_half_precision
from torch.nn import functional as F

SGD = {"type": "SGD", "lr": 0.1}
ROUNDING = 1e-10  # of gradients in float64, as in LGCAA's tests
ZERO = {**case.NETWORK, "init": "zero"}
WITHOUT_EFFECT = ".to_k.bias"  # of the encoder: it moves all logits alike, so that its gradient is rounding alone


def _step(model, iteration=1, seed=0, images=None):
    return take_step(model, images or batch(), iteration, seed)


def _gradients(folder, losses, network=case.NETWORK):
    model = case.make(folder, network, losses=losses, ema_decay=0)
    for parameter in model.net_g.encoder.parameters():  # residual branches begin at zero, and pass none
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.1)
    model.feed_data(batch())
    torch.manual_seed(0)
    _, inputs = model._run_part(model._batch())
    sum(model._evaluate_terms(inputs).values()).backward()
    return model.net_g, {name for name, p in model.net_g.named_parameters() if p.grad is not None and p.grad.any()}


@pytest.mark.parametrize("train_pattern", [["spade"], case.WHOLE], ids=["release", "paper"])
def test_ssl_s_gradient_reaches_what_is_trained_and_nothing_else(tmp_path, train_pattern):
    net, reached = _gradients(tmp_path, case.SSL, {**case.NETWORK, "train_pattern": train_pattern})
    assert {name for name in net.trained if not name.endswith(WITHOUT_EFFECT)} <= reached <= set(net.trained)
    assert all(p.grad is None for name, p in net.named_parameters() if name not in net.trained)


@pytest.mark.parametrize(("network", "steps"), [(case.NETWORK, 4), (ZERO, 6)], ids=["released", "zero"])
def test_training_changes_what_is_trained_and_the_average_shares_the_rest(tmp_path, network, steps):
    model = case.make(tmp_path, network, losses=case.LOSSES)
    net, average = model.net_g, dict(model.net_g_ema.named_parameters())
    before = copy_parameters(net)
    for iteration in range(1, steps + 1):  # layers in series that begin at zero pass no gradient at first
        _step(model, iteration, iteration)
    changed = {name for name, value in net.named_parameters() if not torch.equal(value, before[name])}
    assert {name for name in net.trained if not name.endswith(WITHOUT_EFFECT)} <= changed <= set(net.trained)
    for name, parameter in net.named_parameters():
        assert (average[name] is parameter) == (name not in net.trained)
    optimized = {id(p) for group in model.optimizer_g.param_groups for p in group["params"]}
    assert optimized == {id(net.get_parameter(name)) for name in net.trained}


@pytest.mark.usefixtures("double")
def test_loss_of_the_noise_is_the_mean_squared_error(tmp_path):
    """Against the step written out: GT and the enlarged LR image are both samples of their posteriors."""
    model = case.make_double(tmp_path, losses=case.LOSSES)
    net, images = deepcopy(model.net_g), batch()
    log = _step(model)
    torch.manual_seed(0)
    t = torch.randint(1000, (2,))
    posterior, noise, lq_posterior = (torch.randn(2, 4, 16, 16) for _ in range(3))
    with torch.no_grad():
        up = F.interpolate(images["lq"], scale_factor=4, mode="bicubic").clamp(0, 1)
        of = [net.vae.encode(2 * x - 1).latent_dist for x in (images["gt"], up)]
        draws = (posterior, lq_posterior)
        z, z_lr = (0.18215 * (d.mean + d.std * x) for d, x in zip(of, draws, strict=True))
        betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2
        level = (1 - betas).cumprod(0)[t].view(-1, 1, 1, 1)
        predicted = net(level.sqrt() * z + (1 - level).sqrt() * noise, t, z_lr)
    # the schedule is kept in float32, as in LGCAA's test
    assert log["l_noise"] == pytest.approx(float((predicted - noise).square().mean()), rel=1e-4)


def test_decoded_images_are_about_0_to_1_like_their_ground_truth(tmp_path):
    """A prediction that is right decodes to what the VAE makes of GT's latent."""
    model = case.make(tmp_path)
    model.feed_data(batch())
    part = model._batch()
    model._predict = lambda z_t, part: (part["noise"], {})
    with torch.no_grad():
        _, inputs = model._run_part(part)
        latents = model._latents(model.net_g, part)
        wanted = (model.net_g.vae.decode(latents / 0.18215).sample + 1) / 2
        order = part["timesteps"].argsort(stable=True)
        assert torch.allclose(inputs["decoded"]["sr"], wanted[order], atol=1e-4)
        assert torch.equal(inputs["decoded"]["gt"], part["gt"][order])
    assert float(model._evaluate_terms(inputs)["l_noise"]) == 0


def test_checkpointing_changes_no_bit(tmp_path):
    states = []
    for flag in (False, True):
        model = case.make(tmp_path, grad_checkpointing=flag, optim_g=SGD)
        for iteration in (1, 2):
            _step(model, iteration)
        states.append(copy_parameters(model.net_g))
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())


@pytest.mark.usefixtures("double")
def test_accumulation_equals_the_whole_batch(tmp_path):
    losses, states = {**case.LOSSES, "l_pix": case.SSL["l_pix"]}, []
    for parts in (1, 2):
        model = case.make_double(tmp_path, losses=losses, accum_iter=parts, optim_g=SGD)
        _step(model, images=batch(4))
        states.append(copy_parameters(model.net_g))
    assert all(torch.allclose(value, states[1][name], rtol=0, atol=ROUNDING) for name, value in states[0].items())


def test_distributed_training_waits_for_no_parameter(tmp_path):
    train = {"accum_iter": 2, "grad_checkpointing": True, "optim_g": SGD}
    alone = case.make(tmp_path, **train)
    assert_wrapped_steps_equal(alone, case.options(tmp_path, **train), batch(), tmp_path)


@needs_half_precision
def test_half_precision_with_frozen_weights_in_it(tmp_path):
    network = {**case.NETWORK, "base": {**case.BASE, "frozen_dtype": "bfloat16"}}
    model, full = case.make(tmp_path, network, amp="bf16"), case.make(tmp_path)
    assert next(model.net_g.vae.parameters()).dtype == torch.bfloat16
    assert all(p.dtype == torch.float32 for p in model.net_g.parameters() if p.requires_grad)
    assert _step(model) == pytest.approx(_step(full), rel=0.1)


def test_channels_last_latents_do_not_crash_torch(tmp_path):
    """Its group norm's backward pass on the CPU does, for an input that needs no gradient."""
    net = case.make(tmp_path).net_g
    z = torch.randn(2, 4, 8, 8).contiguous(memory_format=torch.channels_last)
    net(z, torch.tensor([3, 5]), z).square().mean().backward()


def test_files_hold_what_is_trained_and_are_loaded_again(tmp_path):
    model = case.make(tmp_path)
    _step(model)
    save_generator(model, 1)
    path = tmp_path / "net_g_1.pth"
    content = torch.load(path, weights_only=True)
    assert set(content["params"]) == set(content["params_ema"]) == set(model.net_g.trained)
    assert content["stablesr"] == model.net_g.sections
    fresh = case.make(tmp_path)
    fresh.load_network(fresh.net_g, str(path))
    wanted = copy_parameters(model.net_g)
    assert all(torch.equal(value, wanted[name]) for name, value in copy_parameters(fresh.net_g).items())


def test_validation_samples_by_the_average(tmp_path):
    model = case.make(tmp_path)
    model.feed_data({"lq": batch(1, 48)["lq"]})
    torch.manual_seed(0)
    model.test()
    first = model.output
    assert first.shape == (1, 3, 48, 48) and model.net_g.training
    with torch.no_grad():
        for name in model.net_g.trained:
            model.net_g_ema.get_parameter(name).add_(0.1)
    torch.manual_seed(0)
    model.test()
    assert not torch.equal(model.output, first)
