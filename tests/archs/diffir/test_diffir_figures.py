"""DiffIR: figures of the release's networks, with weights and images made of sines."""

from prismsr.archs.diffir.diffir_arch import DiffIRS1, DiffIRS2, encode_pair
from prismsr.archs.diffir.prior import add_noise, make_schedule, predict_prior

import pytest
import torch
from diffir_case import TINY, assert_near, fill_waves, images
from published_fill import assert_row, wave

LQ, GT = images()
START = wave(1, 256, k=0.1)


@pytest.fixture(scope="module")
def first():
    return fill_waves(DiffIRS1(**TINY)).eval()


@pytest.fixture(scope="module")
def second():
    return fill_waves(DiffIRS2(**TINY)).eval()


@torch.no_grad()
def test_first_stage(first):
    prior = encode_pair(first.E, LQ, GT)
    assert_row(prior, 0.108256, 0.161045, (-0.029016, 0.291937, -0.010510), -0.018264, 0.001365)
    assert_row(first(LQ, GT), 0.421479, 0.366203, (0.429900, 0.439136, 0.445411), 0.088570, -0.000175)


@torch.no_grad()
def test_a_block(first, second):
    block = second.G.encoder_level1[0](wave(1, 8, 8, 8, k=0.3), encode_pair(first.E, LQ, GT))
    assert_row(block, 0.011989, 0.733729, (0.012154, 0.339233, 0.619087), 0.582480, 0.000562)


@torch.no_grad()
def test_second_stage_in_evaluation(second):
    assert_row(second.condition(LQ), 0.126368, 0.187209, (-0.024201, 0.358736, -0.026024), -0.037149, 0.001386)
    prior = second.predict_prior(LQ, START)
    assert_row(prior, 0.116754, 0.173602, (-0.027305, 0.405526, -0.018390), -0.023179, 0.001553)
    assert_row(second.restore(LQ, prior), 0.521266, 0.360831, (0.521932, 0.514478, 0.513550), 0.131918, -0.000227)


@torch.no_grad()
def test_each_step_of_the_diffusion_in_training(first, second):
    start = add_noise(encode_pair(first.E, LQ, GT), START, second.schedule)
    rows = (
        (0.057553, 0.099527, (-0.012403, 0.197585, 0.007049), 0.013989, 0.000852),
        (0.090938, 0.136053, (-0.020141, 0.308108, -0.008201), -0.011059, 0.001269),
        (0.109834, 0.163316, (-0.025045, 0.375878, -0.015382), -0.020724, 0.001488),
        (0.116752, 0.173599, (-0.027305, 0.405527, -0.018391), -0.023178, 0.001552),
    )
    priors = list(predict_prior(second.denoise, start, second.condition(LQ), second.schedule))
    for prior, row in zip(priors, rows, strict=True):
        assert_row(prior, *row)


def test_schedule():
    schedule = make_schedule(4, 0.1, 0.99)
    assert_near(schedule.betas, [0.1, 0.294286, 0.590952, 0.99])
    assert_near(schedule.levels, [0.9, 0.635143, 0.259804, 0.002598])
    assert_near(schedule.of_clean, [1, 0.765187, 0.636270, 0.505927])
    assert_near(schedule.of_noisy, [0, 0.230246, 0.315256, 0.074212])


@pytest.mark.parametrize(
    ("kind", "parameters", "entries", "of_parts"),
    [
        (DiffIRS1, 24_801_478, 547, {"G": 23_459_142, "E": 1_342_336}),
        (DiffIRS2, 24_971_206, 551, {"G": 23_459_142, "condition": 1_314_688, "denoise": 197_376}),
    ],
)
def test_size_of_the_release(kind, parameters, entries, of_parts):
    with torch.device("meta"):
        net = kind()
    assert sum(parameter.numel() for parameter in net.parameters()) == parameters
    assert len(net.state_dict()) == entries
    for part, count in of_parts.items():
        assert sum(parameter.numel() for parameter in getattr(net, part).parameters()) == count
