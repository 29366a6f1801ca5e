import math

from prismsr.models.step.finite_guard import FiniteGuard
from prismsr.utils.errors import TrainingError

import pytest
import torch
from torch import nn


def _step(model, batch, iteration):
    model.feed_data(batch)
    model.optimize_parameters(iteration)


def _spoilt(batch, key="gt", sample=1, value=math.nan):
    batch = {**batch, key: batch[key].clone()}
    batch[key][sample, 0, 3, 3] = value
    return batch


def _changed(before, after):
    assert before.keys() == after.keys()
    return {key for key, value in before.items() if not torch.equal(value, after[key])}


@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize(("discriminator", "size"), [("spectral", 32), ("batch", 128)])
@pytest.mark.parametrize(("key", "value"), [("gt", math.nan), ("lq", math.inf)])
def test_a_bad_sample_changes_nothing(
    make_model, make_batch, snapshot, warnings_logged, discriminator, size, key, value, parts
):
    model = make_model(discriminator, accum_iter=parts)
    batch = make_batch(samples=4, size=size)
    _step(model, batch, 1)
    before = snapshot(model)
    _step(model, _spoilt(batch, key, 1, value), 2)
    assert _changed(before, snapshot(model)) == set()
    (message,) = warnings_logged
    assert "Iteration 2: the update is skipped (1 in a row). Not finite: l_g_pix" in message
    assert message.endswith("Samples: photos/b.png.")
    _step(model, batch, 3)
    after = _changed(before, snapshot(model))
    assert {"g.conv_first.weight", "ema.conv_first.weight", "optimizer0.0.exp_avg", "optimizer1.0.exp_avg"} <= after
    assert any("running_mean" in name or "weight_u" in name for name in after)
    assert all(value.isfinite().all() for value in snapshot(model).values())


class _BadDiscriminatorGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx, logits):
        return logits.clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient * math.inf


def test_a_bad_discriminator_alone_is_left_out(make_model, make_batch, snapshot, warnings_logged):
    model = make_model("spectral")
    net_d = model.discriminators["d"]
    _step(model, make_batch(), 1)
    before = snapshot(model)
    bad = net_d.register_forward_hook(
        lambda module, args, logits: (
            _BadDiscriminatorGradient.apply(logits) if module.conv0.weight.requires_grad else None
        )
    )
    _step(model, make_batch(), 2)
    after = _changed(before, snapshot(model))
    assert {"g.conv_first.weight", "ema.conv_first.weight", "optimizer0.0.exp_avg"} <= after
    assert not [name for name in after if name.startswith(("d.", "optimizer1"))]
    assert warnings_logged == [
        "Iteration 2: the update of net_d is skipped (1 in a row). All losses are finite, the gradient of net_d "
        "is not. Samples: photos/a.png, photos/b.png, photos/c.png, photos/d.png."
    ]
    bad.remove()
    _step(model, make_batch(), 3)
    assert model.training_state()["skipped_in_row"] == 0
    assert {"d.conv0.weight", "optimizer1.0.exp_avg"} <= _changed(before, snapshot(model))


def test_before_the_generator_starts_its_statistics_are_put_back_too(make_model, make_batch, snapshot):
    model = make_model(net_d_init_iters=5)
    model.net_g.body.add_module("norm", nn.BatchNorm2d(8))
    model.net_g_ema.body.add_module("norm", nn.BatchNorm2d(8).eval())
    model.guard = FiniteGuard({"g": model.net_g, **model.discriminators}, 10, model.precision, model.guard.batch)
    _step(model, make_batch(), 1)
    before = snapshot(model)
    assert before["g.body.norm.running_mean"].abs().sum() > 0
    assert torch.equal(before["ema.body.norm.running_mean"], before["g.body.norm.running_mean"])
    _step(model, _spoilt(make_batch(), "lq"), 2)
    after = _changed(before, snapshot(model))
    assert not [name for name in after if not name.startswith("ema.")]
    assert all(value.isfinite().all() for value in snapshot(model).values())


def test_stops_after_too_many_in_a_row(make_model, make_batch):
    model = make_model(None, max_skipped_updates=3, grad_clip=1.0)
    bad = _spoilt(make_batch())
    _step(model, bad, 1)
    _step(model, bad, 2)
    state = model.training_state()
    assert (state["skipped_in_row"], state["scaler"], state["degradation"]) == (2, {}, None)
    _step(model, make_batch(), 3)  # a good one resets the count
    assert model.training_state()["skipped_in_row"] == 0
    _step(model, bad, 4)
    _step(model, bad, 5)
    resumed = make_model(None, max_skipped_updates=3)
    resumed.load_training_state(model.training_state())
    with pytest.raises(TrainingError) as caught:
        _step(resumed, bad, 6)
    message = str(caught.value)
    assert "stopped at iteration 6: 3 updates in a row were skipped (train.max_skipped_updates)" in message
    assert "Not finite: l_g_pix. Samples: photos/b.png." in message
    assert "a lower learning rate, train.grad_clip, a look at these samples" in message
    assert all(parameter.isfinite().all() for parameter in resumed.net_g.parameters())


def test_fp16_is_told_to_try_bf16(make_model, make_batch):
    model = make_model(None, max_skipped_updates=1, amp="fp16")
    with pytest.raises(TrainingError, match="bf16 instead of fp16"):
        _step(model, _spoilt(make_batch()), 1)


def test_samples_without_a_path_are_counted(make_model, make_batch, warnings_logged):
    batch = _spoilt(make_batch())
    del batch["gt_path"]
    _step(make_model(None), batch, 1)
    assert warnings_logged[0].endswith("Samples: number 2 of the batch.")


FUSED = {"type": "Adam", "lr": 1e-3, "fused": True}


@pytest.fixture
def make_deferred(make_model):
    """Models whose device decides, as on CUDA."""

    def make(*args, **options):
        model = make_model(*args, optimizer=FUSED, **options)
        model.guard.deferred = True
        return model

    return make


@pytest.mark.parametrize(("discriminator", "size"), [("spectral", 32), ("batch", 128)])
def test_the_device_alone_leaves_no_trace_of_a_bad_sample(
    make_deferred, make_batch, snapshot, warnings_logged, discriminator, size
):
    model = make_deferred(discriminator)
    batch = make_batch(size=size)
    _step(model, batch, 1)
    before = snapshot(model)
    _step(model, _spoilt(batch, "lq", 1, math.inf), 2)
    assert _changed(before, snapshot(model)) == set()
    _step(model, make_batch(1, size=size), 3)
    (message,) = warnings_logged
    assert "Iteration 2: the update is skipped (1 in a row). Not finite: l_g_pix" in message
    assert message.endswith("Samples: photos/b.png.")
    assert {"g.conv_first.weight", "ema.conv_first.weight", "optimizer1.0.exp_avg"} <= _changed(before, snapshot(model))
    model.guard.catch_up()
    assert model.training_state()["skipped_in_row"] == 0


def test_the_device_alone_leaves_out_a_bad_discriminator(make_deferred, make_batch, snapshot, warnings_logged):
    model = make_deferred("spectral")
    _step(model, make_batch(), 1)
    before = snapshot(model)
    model.discriminators["d"].register_forward_hook(
        lambda module, args, logits: (
            _BadDiscriminatorGradient.apply(logits) if module.conv0.weight.requires_grad else None
        )
    )
    _step(model, make_batch(), 2)
    after = _changed(before, snapshot(model))
    assert {"g.conv_first.weight", "ema.conv_first.weight", "optimizer0.0.exp_avg"} <= after
    assert not [name for name in after if name.startswith(("d.", "optimizer1"))]
    assert model.training_state()["skipped_in_row"] == 0
    model.save(0, 2)  # tells before it saves
    assert model.training_state()["skipped_in_row"] == 1
    assert "Iteration 2: the update of net_d is skipped (1 in a row). All losses are finite" in warnings_logged[0]


def test_good_steps_are_the_same_whoever_decides(make_model, make_deferred, make_batch, snapshot):
    models = make_model("batch", optimizer=FUSED, grad_clip=0.1), make_deferred("batch", grad_clip=0.1)
    for model in models:
        for iteration in range(1, 4):
            _step(model, make_batch(iteration, size=128), iteration)
    waited, deferred = map(snapshot, models)
    assert {name for name in _changed(waited, deferred) if not name.startswith("ema.")} == set()
    for name, value in waited.items():
        torch.testing.assert_close(deferred[name], value, rtol=1e-6, atol=1e-8)


def test_a_deferred_training_stops_a_step_later(make_deferred, make_batch):
    model = make_deferred(None, max_skipped_updates=2)
    bad = _spoilt(make_batch())
    for iteration in range(1, 3):
        _step(model, bad, iteration)
    with pytest.raises(TrainingError, match="stopped at iteration 2: 2 updates in a row"):
        _step(model, bad, 3)
    assert all(parameter.isfinite().all() for parameter in model.net_g.parameters())


def test_a_run_that_began_with_other_kernels_keeps_those_of_this_device(
    make_model, make_deferred, make_batch, snapshot
):
    """Such as one begun on a CPU: unfused, the optimiser would not see what the device refuses."""
    begun, model = make_model(None), make_deferred(None)
    _step(begun, make_batch(), 1)
    parts = {name: [part.state_dict() for part in getattr(begun, name)] for name in ("optimizers", "schedulers")}
    model.resume_training({"iter": 1, **parts})
    before = snapshot(model)
    _step(model, _spoilt(make_batch()), 2)
    assert _changed(before, snapshot(model)) == set()
