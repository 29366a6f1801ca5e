"""A training starts from a checkpoint in another project's names."""

import functools

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
