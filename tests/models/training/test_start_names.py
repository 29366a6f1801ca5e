"""A training starts from a checkpoint in another project's names."""

import functools

from prismsr.utils.weights.files import WeightsError, load_strictly

import pytest
import torch

RENAMED = (("conv_body", "trunk_conv"), ("body.", "RRDB_trunk."), (".rdb", ".RDB"), ("conv_up", "upconv"))
RENAMED += (("conv_hr", "HRconv"),)


@pytest.mark.parametrize("strict", [True, False])
def test_starts_from_the_names_of_mmsr(make_model, tmp_path, strict):
    model = make_model(None)
    state = {key: torch.full_like(value, 0.25) for key, value in model.net_g.state_dict().items()}
    names = {key: functools.reduce(lambda name, pair: name.replace(*pair), RENAMED, key) for key in state}
    torch.save({names[key]: value for key, value in state.items()}, tmp_path / "RRDB_warmup.pth")
    model.load_network(model.net_g, str(tmp_path / "RRDB_warmup.pth"), strict)
    assert "RRDB_trunk.1.RDB3.conv5.bias" in names.values()
    torch.testing.assert_close(model.net_g.state_dict(), state, rtol=0, atol=0)


def test_lenient_loading_is_advised_where_an_option_asks_for_it(make_model, tmp_path):
    model = make_model(None)
    torch.save({"other": torch.zeros(1)}, tmp_path / "x.pth")
    with pytest.raises(WeightsError, match=r"x\.pth .*strict_load"):
        model.load_network(model.net_g, str(tmp_path / "x.pth"))
    with pytest.raises(WeightsError) as told:  # a metric's, or those of inference
        load_strictly(model.net_g, {"other": torch.zeros(1)}, "x.pth")
    assert "strict_load" not in str(told.value)
