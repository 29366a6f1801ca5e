"""The benchmark of the best-buddy loss, and the bound of its memory."""

from prismsr.tools.benchmarks.best_buddy import BATCH, SIZE, build_best_buddy
from prismsr.tools.benchmarks.measure import crop_photographs, measure

import pytest
import torch


def test_memory_beyond_the_images_is_bounded():
    assert (SIZE, BATCH) == (192, 16)
    assert measure("best-buddy", 0, size=SIZE, batch=BATCH)["bytes"] < 300e6


def test_whole_tables_give_the_same():
    gt = crop_photographs(48, 2).double()
    values = [build_best_buddy(gt, torch.device("cpu"), whole)().item() for whole in (False, True)]
    assert values[0] == pytest.approx(values[1], rel=1e-9) and values[0] > 0
