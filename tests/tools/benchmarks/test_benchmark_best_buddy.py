"""The benchmark of the best-buddy loss, and the bound of its memory."""

from prismsr.losses.best_buddy_loss import best_buddy_loss
from prismsr.tools.benchmarks.measure import crop_photographs, enlarge_again, measure
from prismsr.tools.benchmarks.pairs import BUDDIES, best_buddy_whole

import pytest


def test_memory_beyond_the_images_is_bounded():
    assert BUDDIES == {"size": 192, "batch": 16}
    assert measure("best-buddy", 0, other=False, **BUDDIES)["bytes"] < 300e6


def test_whole_tables_give_the_same():
    gt = crop_photographs(48, 2).double()
    values = [loss(enlarge_again(gt), gt).item() for loss in (best_buddy_loss, best_buddy_whole)]
    assert values[0] == pytest.approx(values[1], rel=1e-9) and values[0] > 0
