from prismsr.archs.resshift.residual_shift import ResidualShift, ScheduleOptions

import pytest
import torch
from pydantic import ValidationError

V1, V3 = ScheduleOptions(), ScheduleOptions(steps=4, min_noise=0.2)
WRITTEN = {
    "v1": (
        V1,
        {
            "root": [
                *(0.020000, 0.117165, 0.176305, 0.233629, 0.291574, 0.351009, 0.412356, 0.475858),
                *(0.541672, 0.609910, 0.680658, 0.753985, 0.829951, 0.908606, 0.990000),
            ],
            "eta": {1: 0.013728, 7: 0.226441, 13: 0.825566},
            "alpha": {1: 0.013328, 7: 0.056403, 14: 0.154534},
            "variance": {0: 0, 1: 0.001553, 7: 0.169415, 14: 0.520675},
            "keep": {0: 0, 1: 0.029138, 7: 0.750915, 14: 0.842328},
            "scale": {0: 0.999201, 7: 0.724379, 14: 0.450816},
        },
    ),
    "v3": (
        V3,
        {
            "root": [0.100000, 0.520096, 0.761382, 0.990000],
            "variance": [0, 0.038521, 0.577119, 0.947297],
            "keep": [0, 0.036969, 0.466619, 0.591473],
            "scale": [0.980581, 0.693042, 0.548920, 0.450816],
        },
    ),
}


@pytest.mark.parametrize(("options", "tables"), WRITTEN.values(), ids=WRITTEN)
def test_schedules_are_the_releases_to_six_digits(options, tables):
    process = ResidualShift(options)
    for name, written in tables.items():
        table = getattr(process, name)
        assert len(table) == options.steps
        for t, value in written.items() if isinstance(written, dict) else enumerate(written):
            assert abs(float(table[t]) - value) <= 0.5e-6, (name, t)


def _part(process, t, shape=(3, 2, 4, 4)):
    generator = torch.Generator().manual_seed(0)
    latents, lq, noise = (torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(3))
    return latents, {"lq_latents": lq, "noise": noise, "timesteps": torch.tensor(t)}


def test_latents_are_shifted_and_noised():
    process = ResidualShift(V3)
    latents, part = _part(process, [0, 2, 3])
    z_t = process.add_noise(latents, part)
    for row, root in enumerate([0.100000, 0.761382, 0.990000]):
        wanted = latents[row] + root**2 * (part["lq_latents"][row] - latents[row]) + 2 * root * part["noise"][row]
        assert torch.allclose(z_t[row], wanted, atol=1e-5)
    # nearly all of the residual is gone at the last step: what sampling begins from
    assert (process.begin(part["lq_latents"], part["noise"]) - z_t)[2].abs().max() < 0.1
    assert process.target(latents, part) is latents
    assert process.predict_clean(z_t, latents, part) is latents


def test_the_posterior_agrees_with_the_forward_process():
    """A latent of step t, taken a step back by the true x_0, has the mean and the variance of step t - 1."""
    process = ResidualShift(V1)
    x_0, y = 0.7, -0.4
    for t in range(1, 15):
        mean, variance = x_0 + process.eta[t] * (y - x_0), 4 * process.eta[t]
        back = process.step_back(mean, torch.tensor(x_0, dtype=torch.float64), t)
        assert torch.allclose(back, x_0 + process.eta[t - 1] * (y - x_0))
        assert torch.allclose(process.keep[t] ** 2 * variance + process.variance[t], 4 * process.eta[t - 1])


def test_sampling_ends_without_noise_and_is_a_matter_of_its_generator():
    process, shape = ResidualShift(V3), torch.Size((2, 1, 4, 4))
    seen = []

    def predict(latents, t):
        seen.append(int(t))
        return 5 * torch.ones_like(latents) + latents  # far beyond [-1, 1]

    def run(seed):
        return process.denoise(predict, torch.zeros(shape), shape, None, torch.Generator().manual_seed(seed))

    first = run(1)
    assert seen == [3, 2, 1, 0]
    assert torch.equal(first, run(1)) and not torch.equal(first, run(2))
    generator = torch.Generator().manual_seed(1)
    latents = 2 * 0.99 * torch.randn(shape, generator=generator)
    for t in (3, 2, 1):
        noise = torch.randn(shape, generator=generator)
        latents = process.step_back(latents, 5 + latents, t, noise)
    assert torch.allclose(first, 5 + latents, atol=1e-5)


@pytest.mark.parametrize("change", [{"min_noise": 2.0}, {"min_noise": 0.6, "kappa": 0.5, "end": 0.6}])
def test_a_shift_that_does_not_grow_is_refused(change):
    with pytest.raises(ValidationError, match="min_noise"):
        ScheduleOptions(**change)


def test_draws_cover_all_steps_and_come_from_the_global_generator():
    process = ResidualShift(V3)
    torch.manual_seed(0)
    one = process.draw(torch.Size((64, 1, 2, 2)), torch.device("cpu"))
    torch.manual_seed(0)
    other = process.draw(torch.Size((64, 1, 2, 2)), torch.device("cpu"))
    assert one.keys() == {"timesteps", "noise"}
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert set(one["timesteps"].tolist()) == {0, 1, 2, 3}
