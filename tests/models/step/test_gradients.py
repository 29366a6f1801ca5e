import pytest
import torch

SGD = {"type": "SGD", "lr": 0.5}
ROUNDING = 1e-10  # of gradients, sums of 1e4 terms that are below 1 together, in float64: 1e4 * 2^-53 = 1e-12


def _weights(net):
    return torch.cat([parameter.detach().flatten() for parameter in net.parameters()])


def _gradient(net):
    return torch.cat([parameter.grad.flatten() for parameter in net.parameters()])


@pytest.mark.usefixtures("double")
def test_clipping_shortens_both_networks_updates(make_model, make_batch):
    plain = make_model(optimizer=SGD)
    start = {name: _weights(net) for name, net in (("g", plain.net_g), ("d", plain.discriminators["d"]))}
    plain.feed_data(make_batch())
    plain.optimize_parameters(1)
    assert not [name for name in plain.get_current_log() if name.startswith("grad_norm")]
    gradient = _gradient(plain.net_g)
    norm = sum(value**2 for value in gradient.double().tolist()) ** 0.5
    limit = norm / 3

    clipped = make_model(optimizer=SGD, grad_clip=limit)
    clipped.feed_data(make_batch())
    clipped.optimize_parameters(1)
    log = clipped.get_current_log()
    # torch adds 1e-6 to the norm that it divides by
    assert log["grad_norm_g"] == pytest.approx(norm, rel=ROUNDING)
    torch.testing.assert_close(
        _weights(clipped.net_g), start["g"] - 0.5 * gradient * limit / (norm + 1e-6), rtol=0, atol=ROUNDING
    )
    # the discriminator's gradient does not depend on the clipped generator's update: its output was made before
    gradient = _gradient(plain.discriminators["d"])
    norm_d = gradient.double().norm().item()
    assert log["grad_norm_d"] == pytest.approx(norm_d, rel=ROUNDING)
    share = min(1.0, limit / (norm_d + 1e-6))
    expected = start["d"] - 0.5 * gradient * share
    torch.testing.assert_close(_weights(clipped.discriminators["d"]), expected, rtol=0, atol=ROUNDING)


def test_a_short_gradient_is_left_alone(make_model, make_batch):
    weights = []
    for limit in (None, 1e6):
        model = make_model(None, optimizer=SGD, grad_clip=limit)
        model.feed_data(make_batch())
        model.optimize_parameters(1)
        weights.append(_weights(model.net_g))
    assert torch.equal(*weights)
