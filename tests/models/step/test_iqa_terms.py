"""NegativeLoss and IQALoss in the training step: what they get, and that nothing of them is saved."""

from prismsr.utils.errors import UserError

import pytest
import torch

LOSSES = {"l_g_pix": {"type": "L1Loss"}, "l_g_neg": {"type": "NegativeLoss", "loss_weight": 2.0}}


@pytest.fixture
def with_negatives(make_batch):
    batch = make_batch()
    generator = torch.Generator().manual_seed(0)
    batch["gt_negative"] = (batch["gt"] + 0.1 * torch.randn(batch["gt"].shape, generator=generator)).clamp(0, 1)
    batch["negative_map"] = torch.rand(len(batch["gt"]), 1, *batch["gt"].shape[2:], generator=generator)
    batch["negative_map"][1] = 0
    return batch


@pytest.mark.usefixtures("double")
def test_the_step_hands_over_negatives(make_model, with_negatives):
    model = make_model(None, losses=LOSSES)
    model.feed_data(with_negatives)
    model.optimize_parameters(1)
    sr, negative, weight = model.output, with_negatives["gt_negative"], with_negatives["negative_map"]
    expected = -2 * (weight * (sr - negative)).abs().mean()
    assert expected < 0
    assert model.get_current_log()["l_g_neg"] == pytest.approx(expected.item(), rel=1e-10)


@pytest.mark.usefixtures("double")
def test_accumulation_splits_the_negatives(make_model, with_negatives):
    logs = []
    for parts in (1, 2):
        model = make_model(None, losses=LOSSES, accum_iter=parts)
        model.feed_data(with_negatives)
        model.optimize_parameters(1)
        logs.append(model.get_current_log())
    assert logs[0]["l_g_neg"] == pytest.approx(logs[1]["l_g_neg"], rel=1e-10)


def test_a_batch_without_negatives_is_told(make_model, make_batch, with_negatives):
    model = make_model(None, losses=LOSSES)
    model.feed_data(with_negatives)
    model.feed_data(make_batch())  # nothing is left of the former
    with pytest.raises(UserError, match="gt_negative"):
        model.optimize_parameters(1)
    model = make_model("plain")  # who does not ask is not told
    model.feed_data(make_batch())
    model.optimize_parameters(1)


def test_the_metric_is_no_part_of_a_checkpoint(make_model, make_batch, tmp_path):
    iqa = {"type": "IQALoss", "metric": "natural_scene"}
    model = make_model(None, losses={"l_g_pix": {"type": "L1Loss"}, "l_g_iqa": iqa})
    model.feed_data(make_batch(size=96))
    model.optimize_parameters(1)
    assert model.get_current_log()["l_g_iqa"] < 0
    model.save(0, 1)
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == ["1.state", "1.state.sha256", "net_g_1.pth"]
    keys = set(model.get_bare_model(model.net_g).state_dict())
    assert all(set(state) == keys for state in torch.load(tmp_path / "net_g_1.pth", weights_only=True).values())
    text = repr(torch.load(tmp_path / "1.state", weights_only=True).keys())
    assert "metric" not in text and "terms" not in text
