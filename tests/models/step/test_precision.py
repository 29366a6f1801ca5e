import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
FEATURES = {"type": "FeatureLoss", "layer_weights": {"conv1_2": 1.0}, "loss_weight": 0.01}
SSL = {"type": "SelfSimilarityLoss", "search": 7, "window": 3, "loss_weight": 1.0}


def _found_scale(model):
    """Spare the test the search for a loss scale that does not overflow."""
    if model.precision.scaler:
        model.precision.scaler = torch.amp.GradScaler("cpu", init_scale=16.0)
    return model


class _Float32Term(nn.Module):
    inputs = ("sr", "gt", "sr_ema")

    def forward(self, sr, gt, sr_ema):
        self.seen = {sr.dtype, gt.dtype, sr_ema.dtype, F.conv2d(sr, torch.ones(1, 3, 1, 1)).dtype}
        return F.l1_loss(sr, gt)


class _AutocastTerm(_Float32Term):
    autocast = True


def _dtypes_of_outputs(net):
    seen = set()
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(lambda module, args, output: seen.add(output.dtype))
    return seen


@pytest.mark.parametrize("amp", ["bf16", "fp16"])
@pytest.mark.parametrize("discriminator", ["plain", "spectral"])
def test_networks_in_half_precision_and_losses_in_float32(make_model, make_batch, amp, discriminator):
    model = _found_scale(make_model(discriminator, amp=amp))
    model.terms["l_float32"], model.terms["l_autocast"] = _Float32Term(), _AutocastTerm()
    seen_g, seen_d = _dtypes_of_outputs(model.net_g), _dtypes_of_outputs(model.discriminators["d"])
    model.feed_data(make_batch())
    model.optimize_parameters(1)
    assert seen_g == seen_d == {DTYPES[amp]}
    assert model.terms["l_float32"].seen == {torch.float32}
    assert model.terms["l_autocast"].seen == {torch.float32, DTYPES[amp]}
    assert model.output.dtype == torch.float32
    assert {parameter.grad.dtype for parameter in model.net_g.parameters()} == {torch.float32}
    assert all(parameter.grad is not None for parameter in model.discriminators["d"].parameters())


@pytest.mark.parametrize("amp", ["bf16", "fp16"])
def test_further_outputs_and_views_are_of_float32(make_model, make_batch, spsr, amp):
    class BranchTerm(_Float32Term):
        inputs = ("sr", "gt", "sr_branch")

    model = _found_scale(make_model(amp=amp, **spsr))
    model.terms["l_float32"] = BranchTerm()
    seen = _dtypes_of_outputs(model.net_g)
    viewed = []
    model.discriminators["d_grad"].register_forward_pre_hook(lambda net, images: viewed.append(images[0].dtype))
    model.feed_data(make_batch())
    model.optimize_parameters(1)
    assert DTYPES[amp] in seen
    assert model.terms["l_float32"].seen == {torch.float32} == set(viewed)
    assert all(math.isfinite(figure) for figure in model.get_current_log().values())


@pytest.mark.parametrize("amp", ["bf16", "fp16"])
def test_half_precision_trains_like_float32(make_model, make_batch, torch_home, amp):
    losses = {"l_g_pix": {"type": "L1Loss"}, "l_g_percep": FEATURES, "l_g_ssl": SSL}
    logs = {}
    for precision in (None, amp):
        model = _found_scale(make_model(None, losses=losses, amp=precision))
        logs[precision] = []
        for iteration in range(1, 13):
            model.feed_data(make_batch())
            model.optimize_parameters(iteration)
            logs[precision].append(model.get_current_log())
    assert logs[amp][-1]["l_g_pix"] < 0.9 * logs[amp][0]["l_g_pix"]
    for name in losses:
        assert logs[amp][0][name] == pytest.approx(logs[None][0][name], rel=0.02)


def test_half_precision_gradients_are_near_those_of_float32(make_model, make_batch):
    gradients = {}
    for amp in (None, "bf16", "fp16"):
        model = _found_scale(make_model(optimizer={"type": "SGD", "lr": 1e-6}, amp=amp))
        model.feed_data(make_batch())
        model.optimize_parameters(1)
        for name, net in (("g", model.net_g), ("d", model.discriminators["d"])):
            gradients[amp, name] = torch.cat([parameter.grad.flatten() for parameter in net.parameters()])
    for name in ("g", "d"):
        for amp, tolerance in (("bf16", 0.1), ("fp16", 0.02)):
            exact = gradients[None, name]
            assert (gradients[amp, name] - exact).norm() < tolerance * exact.norm(), (amp, name)


def test_the_scale_of_fp16_falls_without_counting_and_is_saved(make_model, make_batch, tmp_path, warnings_logged):
    model = make_model(None, amp="fp16", max_skipped_updates=2)
    model.precision.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**40)  # far too high: gradients overflow
    before = {key: value.clone() for key, value in model.net_g.state_dict().items()}
    for iteration in range(1, 4):
        model.feed_data(make_batch())
        model.optimize_parameters(iteration)
    assert all(torch.equal(before[key], value) for key, value in model.net_g.state_dict().items())
    state = model.training_state()
    assert state["scaler"]["scale"] == 2.0**37
    assert state["skipped_in_row"] == 0
    assert "the gradient of net_g is not" in warnings_logged[0]
    torch.save(state, tmp_path / "scaler.state")
    resumed = make_model(None, amp="fp16")
    resumed.load_training_state(torch.load(tmp_path / "scaler.state", weights_only=True))
    for name in ("scaler", "skipped_in_row"):
        assert resumed.training_state()[name] == state[name]
    for iteration in range(4, 40):
        resumed.feed_data(make_batch())
        resumed.optimize_parameters(iteration)
    assert not all(torch.equal(before[key], value) for key, value in resumed.net_g.state_dict().items())
    assert math.log2(resumed.training_state()["scaler"]["scale"]) < 37


def test_data_that_are_not_finite_count_and_leave_the_scale_of_fp16(make_model, make_batch):
    model = make_model(None, amp="fp16")
    batch = make_batch()
    batch["gt"][0, 0, 0, 0] = math.nan
    scale = model.training_state()["scaler"]["scale"]
    model.feed_data(batch)
    model.optimize_parameters(1)
    assert model.training_state()["skipped_in_row"] == 1
    assert model.training_state()["scaler"]["scale"] == scale
