import math

from prismsr.tools.reporting import self_similarity
from prismsr.tools.reporting.self_similarity import average_blocks, map_graph_errors

import numpy as np
import pytest


def make_graph(image, y, x):
    """Return the similarities of a pixel to its surroundings by the paper's sums, windows cut at the search area."""
    weights = {}
    for dy in range(-12, 13):
        for dx in range(-12, 13):
            total = 0.0
            for wy in range(-4, 5):
                for wx in range(-4, 5):
                    inside = abs(dy + wy) <= 12 and abs(dx + wx) <= 12
                    other = image[y + dy + wy, x + dx + wx] if inside else np.zeros(3)
                    total += float(((image[y + wy, x + wx] - other) ** 2).sum())
            weights[dy, dx] = math.exp(-total / (3 * 81 * 0.004))
    return {place: weight / sum(weights.values()) for place, weight in weights.items()}


def test_error_of_one_edge_pixel_by_sums():
    random = np.random.default_rng(0)
    gt = np.full((48, 48, 3), 90.0) + random.uniform(0, 3, (48, 48, 3))
    gt[20, 22] = 60  # its neighbours are brighter: an edge pixel
    sr = np.clip(gt + random.normal(0, 12, gt.shape), 0, 255)
    error, equal = map_graph_errors([sr, gt], gt)
    assert np.argwhere(~np.isnan(error)).tolist() == [[20, 22]]
    one, other = (make_graph(image / 255, 20, 22) for image in (sr, gt))
    assert error[20, 22] == pytest.approx(sum(abs(one[place] - other[place]) for place in one) / 2, rel=1e-4)
    assert equal[20, 22] == 0


def test_the_graph_of_the_ground_truth_is_made_once(monkeypatch):
    made = []
    make = self_similarity.self_similarity_graph
    monkeypatch.setattr(self_similarity, "self_similarity_graph", lambda *given: made.append(given) or make(*given))
    gt = np.full((48, 48, 3), 90.0)
    gt[20, 22] = 60
    assert len(map_graph_errors([gt, gt], gt)) == 2 and len(made) == 3


def test_blocks_without_an_edge_stay_empty():
    values = np.full((5, 4), np.nan)
    values[0, 0], values[1, 1], values[4, 0] = 1, 2, 9
    assert np.array_equal(average_blocks(values, 2), [[1.5, np.nan], [np.nan, np.nan]], equal_nan=True)
