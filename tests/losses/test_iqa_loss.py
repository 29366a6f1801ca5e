from prismsr.losses.iqa_loss import IQALoss
from prismsr.metrics.no_reference import build_nr_metric
from prismsr.utils.errors import OptionError

import pytest
import torch
from basicsr.losses import build_loss
from torch import nn

MUSIQ = {"pretrained": False, "num_layers": 1}


@pytest.fixture
def sr(photograph_tensor):
    crops = [photograph_tensor[..., 60:156, left : left + 96] for left in (20, 150)]
    return torch.cat(crops).requires_grad_()


def test_loss_falls_as_the_metric_rises(sr):
    loss = IQALoss(metric="natural_scene")
    value = loss(sr)
    distance = build_nr_metric("natural_scene")(sr.detach()).mean()
    torch.testing.assert_close(value, -0.05 * (100 - 5 * distance))  # 0 to 20, lower is better
    value.backward()
    with torch.no_grad():
        better = loss(sr - 1e-3 * sr.grad / sr.grad.norm())
    assert better < value


def test_a_higher_is_better_metric_keeps_its_scale(sr):
    loss = build_loss({"type": "IQALoss", "loss_weight": 0.2, "metric": "musiq", "metric_options": MUSIQ})
    torch.testing.assert_close(loss(sr), -0.2 * build_nr_metric("musiq", **MUSIQ)(sr).mean())


def test_musiq_gives_gradients_to_the_image_and_none_to_itself(sr):
    loss = IQALoss(metric_options=MUSIQ)
    owner = nn.ModuleDict({"l_g_iqa": loss}).train()
    loss(sr).backward()
    assert sr.grad.isfinite().all() and (sr.grad.flatten(1) != 0).any(1).all()
    parameters = list(owner.parameters())
    assert parameters and all(parameter.grad is None and not parameter.requires_grad for parameter in parameters)


def test_values_beyond_the_range_count_as_its_ends(photograph_tensor):
    loss = IQALoss(metric="natural_scene")
    sr = (photograph_tensor[..., 60:156, 20:116] * 2 - 0.5).requires_grad_()
    value = loss(sr)
    torch.testing.assert_close(value, loss(sr.detach().clamp(0, 1)))
    value.backward()
    outside = (sr < 0) | (sr > 1)
    assert outside.any() and not sr.grad[outside].any() and sr.grad[~outside].any()


def test_what_cannot_be_optimised_is_refused():
    with pytest.raises(OptionError, match="piqe"):
        IQALoss(metric="piqe")
    with pytest.raises(OptionError, match=r"IQALoss: .*did you mean 'musiq'"):
        IQALoss(metric="musik")
