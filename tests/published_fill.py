"""Weights filled by a rule and by their published names, for which the releases' networks were run."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor


def fill(shapes: Mapping[str, Sequence[int]]) -> dict[str, Tensor]:
    """Return sines for parameters of these published names: about unit gain, norms near the identity."""
    filled = {}
    for number, name in enumerate(sorted(shapes)):
        shape = tuple(shapes[name])
        count = int(np.prod(shape))
        values = np.sin(0.7 * np.arange(count) + 1.3 * number + 0.5)
        if len(shape) > 1:
            values = values * (count / shape[0]) ** -0.5
        else:
            values = 1 + 0.1 * values if name.endswith("weight") else 0.1 * values
        filled[name] = torch.from_numpy(values).float().view(shape)
    return filled


def wave(*shape: int, k: float) -> Tensor:
    """Return sin(k j), j over the flattened tensor."""
    return torch.from_numpy(np.sin(k * np.arange(int(np.prod(shape))))).float().view(shape)


def assert_row(output: Tensor, mean: float, std: float, first: Sequence[float], last: float, w: float) -> None:
    """Compare with a row that was written down: moments, ends, and the mean of x_j sin j.

    They have six digits, so that small ones are right to half of the last.
    """
    flat = output.detach().double().flatten().numpy()
    found = [flat.mean(), flat.std(), *flat[:3], flat[-1], (flat * np.sin(np.arange(len(flat)))).mean()]
    scale = np.abs(flat).max()  # entries near 0 are rounded as the largest ones are
    for name, value, written in zip(
        ("mean", "std", "first", "second", "third", "last", "w"), found, [mean, std, *first, last, w], strict=True
    ):
        assert abs(value - written) <= 1e-4 * abs(written) + 1e-6 * scale, (name, value, written)
