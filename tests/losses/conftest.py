"""Images on which the releases' losses were run, in float64."""

import pytest
import torch
from torch import Tensor


@pytest.fixture(scope="session")
def reference_images() -> dict[str, Tensor]:
    """gt, sr and ema, (2, 3, 48, 60); the first 16 x 16 pixels of gt are flat."""
    b, c, y, x = torch.meshgrid(*(torch.arange(count, dtype=torch.float64) for count in (2, 3, 48, 60)), indexing="ij")
    gt = 0.5 + 0.25 * torch.sin(0.3 * x + 0.2 * y + c) + 0.2 * torch.cos(0.014 * x * y + b)
    gt[..., :16, :16] = 0.5
    sr = gt + 0.25 * torch.sin(0.7 * x - 0.4 * y + 2 * c) * torch.cos(0.05 * x)
    ema = gt + 0.25 * torch.sin(0.5 * x + 0.6 * y + c) * torch.sin(0.05 * x)
    assert gt.sum().item() == pytest.approx(8591.6959256590, rel=1e-12)
    assert sr.sum().item() == pytest.approx(8591.7862720774, rel=1e-12)
    assert ema.sum().item() == pytest.approx(8590.0403386827, rel=1e-12)
    return {"gt": gt, "sr": sr, "ema": ema}
