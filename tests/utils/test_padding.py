from prismsr.utils.padding import pad_to_windows

import numpy as np
import pytest
import torch


@pytest.mark.parametrize(("height", "width", "window"), [(16, 24, 8), (17, 23, 8), (9, 5, 7), (3, 20, 8), (5, 5, 1)])
def test_mirrored_to_the_next_multiple(height, width, window):
    image = torch.rand(2, 3, height, width)
    out = pad_to_windows(image, window)
    sides = [-(-side // window) * window for side in (height, width)]
    expected = np.pad(image.numpy(), [(0, 0), (0, 0), (0, sides[0] - height), (0, sides[1] - width)], mode="reflect")
    assert np.array_equal(out.numpy(), expected)
