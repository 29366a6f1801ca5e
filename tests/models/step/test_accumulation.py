import pytest
import torch

SGD = {"type": "SGD", "lr": 0.1}
ROUNDING = 1e-10  # of gradients, sums of 1e4 terms that are below 1 together: 1e4 * 2^-53 = 1e-12 in each of 4 steps


def _train(model, batches):
    logs = []
    for iteration, batch in enumerate(batches, 1):
        model.feed_data(batch)
        model.optimize_parameters(iteration)
        logs.append(model.get_current_log())
    return logs


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("ema_decay", [0, 0.9])
@pytest.mark.parametrize("extra", [{}, {"net_d_iters": 2, "net_d_init_iters": 1}, {"grad_clip": 0.05}])
def test_parts_give_the_update_of_the_whole_batch(make_model, make_batch, ema_decay, extra):
    _require_the_same_of_parts(make_model, make_batch, "conv_first.weight", ema_decay=ema_decay, **extra)


@pytest.mark.usefixtures("double")
def test_parts_with_a_second_output_and_a_view(make_model, make_batch, spsr):
    _require_the_same_of_parts(make_model, make_batch, "f_last.weight", ema_decay=0, **spsr)


def _require_the_same_of_parts(make_model, make_batch, learns, ema_decay, **extra):
    batches = [make_batch(number) for number in range(4)]
    models, logs = [], []
    for parts in (1, 2, 4):
        models.append(make_model(optimizer=SGD, accum_iter=parts, ema_decay=ema_decay, **extra))
        start = {key: value.clone() for key, value in models[-1].net_g.state_dict().items()}
        logs.append(_train(models[-1], batches))
    whole = models[0]
    assert not torch.equal(start[learns], whole.net_g.state_dict()[learns])
    for model, log in zip(models[1:], logs[1:], strict=True):
        nets = [("net_g", model.net_g, whole.net_g)]
        nets += [(name, net, whole.discriminators[name]) for name, net in model.discriminators.items()]
        nets += [("net_g_ema", model.net_g_ema, whole.net_g_ema)] if ema_decay else []
        for name, net, expected in nets:
            for key, value in expected.state_dict().items():
                torch.testing.assert_close(net.state_dict()[key], value, rtol=0, atol=ROUNDING, msg=f"{name}.{key}")
        torch.testing.assert_close(model.output, whole.output, rtol=0, atol=ROUNDING)
        for step, expected_step in zip(log, logs[0], strict=True):
            assert step == pytest.approx(expected_step, rel=ROUNDING, abs=ROUNDING)


def test_a_batch_that_cannot_be_divided_is_told(make_model, make_batch):
    model = make_model(accum_iter=3)
    model.feed_data(make_batch())
    with pytest.raises(ValueError, match=r"train\.accum_iter"):
        model.optimize_parameters(1)


@pytest.mark.parametrize("name", ["gt_mask", "depth"])
def test_masks_and_whatever_else_go_with_their_samples(make_model, make_batch, name):
    class Term(torch.nn.Module):
        inputs = ("sr", "gt", name)

        def forward(self, sr, gt, other):
            seen.append((gt.clone(), other.clone()))
            return (sr - gt).abs().mean()

    seen = []
    model = make_model(None, accum_iter=2)
    model.terms["l_masked"] = Term()
    batch = make_batch()
    model.feed_data({**batch, name: batch["gt"][:, :1]})
    model.optimize_parameters(1)
    assert len(seen) == 2
    assert torch.equal(torch.cat([gt for gt, _ in seen]), batch["gt"])
    assert all(torch.equal(gt[:, :1], mask) for gt, mask in seen)
