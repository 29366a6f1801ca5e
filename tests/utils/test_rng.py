import random

from prismsr.utils.rng import rng_state, set_rng_state

import numpy as np
import torch


def _draw():
    return random.random(), random.gauss(0, 1), np.random.rand(), np.random.randn(), torch.randn(3).tolist()


def test_state_survives_a_file_and_repeats(tmp_path):
    np.random.randn()  # leaves the second of a pair waiting
    random.gauss(0, 1)
    torch.save(rng_state(), tmp_path / "rng")
    first = [_draw() for _ in range(3)]
    set_rng_state(torch.load(tmp_path / "rng", weights_only=True))
    assert [_draw() for _ in range(3)] == first
