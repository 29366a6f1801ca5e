from prismsr.data.multi_gt.online_choice import GTChoice
from prismsr.metrics.no_reference import NRMetric
from prismsr.tools.reporting.chosen_versions import HEIGHT, SIDE, count_choices, draw_choices

import numpy as np
import torch
from torch import nn


class Middle(nn.Module):
    """Near 1 where an image's mean is near a half."""

    def forward(self, images):
        return 1 - (images.mean((1, 2, 3)) - 0.5).abs()


def test_counts_are_those_of_a_loop_over_crops():
    random = torch.Generator().manual_seed(0)
    patches = [torch.rand(3, 3, 4, 8, generator=random) for _ in range(20)]
    expected = [0, 0, 0]
    for versions in patches:
        for left, top in ((0, 0), (2, 0), (4, 0), (6, 0), (0, 2), (2, 2), (4, 2), (6, 2)):
            means = [version[:, top : top + 2, left : left + 2].mean().item() for version in versions]
            expected[np.argmin(np.abs(np.array(means) - 0.5))] += 1
    choice = GTChoice("amo", 10.0, NRMetric(Middle(), "middle", "1", False, (0.0, 1.0)))
    assert count_choices(patches, choice, 2) == expected
    assert len(set(expected)) == 3 and sum(expected) == 160


def test_bars_are_as_long_as_the_counts():
    picture = np.asarray(draw_choices(torch.zeros(3, 3, SIDE, SIDE), [10, 0, 5], ["a", "b", "c"]))
    filled = (picture == (0x48, 0x78, 0xA8)).all(-1).sum(0)
    bars = [filled[8 + column * (SIDE + 8) + SIDE // 2] for column in range(3)]
    assert bars == [HEIGHT + 1, 1, HEIGHT // 2 + 1]
