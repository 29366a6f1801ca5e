"""tools/weights.py convert: the authors' names into ours, all tensors or none, and nothing overwritten."""

from collections import OrderedDict

from prismsr.tools.weights import add_arguments, run
from prismsr.utils.command_line import command
from prismsr.utils.weights.files import WeightsError, network_weights

import pytest
import torch
from basicsr.utils.registry import ARCH_REGISTRY
from torch import nn


class Plain(nn.Module):
    """Its names are the published ones."""

    NOTES = "net"

    def __init__(self, width: int = 3) -> None:
        super().__init__()
        self.sections = {"width": width}
        self.first, self.last = nn.Linear(2, width), nn.Linear(width, 2)


class Net(Plain):
    """Its authors call the layers otherwise."""

    @classmethod
    def convert_published(cls, state):
        names = {"a": "first", "b": "last"}
        unknown = [name for name in state if name[0] not in names]
        if unknown:
            raise WeightsError(f"Unknown tensors: {unknown}")
        return {names[name[0]] + name[1:]: value for name, value in state.items()}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setitem(ARCH_REGISTRY._obj_map, "Net", Net)
    monkeypatch.setitem(ARCH_REGISTRY._obj_map, "Plain", Plain)
    (tmp_path / "net.yml").write_text("name: x\nnetwork_g: {type: Net}\n")
    (tmp_path / "plain.yml").write_text("name: x\nnetwork_g: {type: Plain}\n")
    return tmp_path


@pytest.fixture
def published():
    layers = OrderedDict(a=nn.Linear(2, 3), b=nn.Linear(3, 2))
    return nn.Sequential(layers).state_dict()


def convert(folder, file, *more, network="net.yml"):
    line = ["convert", str(folder / file), "-o", str(folder / "out.pth"), "--network", str(folder / network), *more]
    return command("weights.py", "", add_arguments, run, line)


@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod."])
def test_names_are_ours_and_values_the_authors(folder, published, capsys, prefix):
    both = {"params": {prefix + k: v + 1 for k, v in published.items()}, "params_ema": dict(published)}
    torch.save(both, folder / "resshift_realsrx4_s15_v1.pth")
    assert convert(folder, "resshift_realsrx4_s15_v1.pth") == 0
    told = capsys.readouterr().out
    assert "params_ema: 4 tensors, 17 numbers, of 4 in the file" in told
    assert "S-Lab License 1.0: non-commercial" in told
    for key, change in (("params", 1), ("params_ema", 0)):
        state, found = network_weights(folder / "out.pth", key)
        assert found == key and set(state) == set(Net().state_dict())
        assert torch.equal(state["first.weight"], published["a.weight"] + change)
    assert torch.load(folder / "out.pth", weights_only=True)["net"] == {"width": 3}


def test_a_network_with_the_published_names(folder, capsys):
    state = Net().state_dict()
    torch.save({"state_dict": state, "epoch": 3}, folder / "in.ckpt")
    assert convert(folder, "in.ckpt", network="plain.yml") == 0
    written, key = network_weights(folder / "out.pth")
    assert key == "params" and all(torch.equal(written[name], value) for name, value in state.items())
    assert "terms: those of its authors" in capsys.readouterr().out


@pytest.mark.parametrize(
    "change",
    [
        lambda state: state.pop("a.bias"),
        lambda state: state.update({"c.weight": torch.zeros(1)}),
        lambda state: state.update({"a.weight": torch.zeros(4, 2)}),
    ],
)
def test_all_tensors_or_none(folder, published, capsys, change):
    change(published)
    torch.save(published, folder / "in.pth")
    assert convert(folder, "in.pth") == 2
    assert not (folder / "out.pth").exists()


def test_nothing_is_overwritten_unasked(folder, published):
    torch.save(published, folder / "in.pth")
    (folder / "out.pth").write_bytes(b"mine")
    assert convert(folder, "in.pth") == 2 and (folder / "out.pth").read_bytes() == b"mine"
    assert convert(folder, "in.pth", "--overwrite") == 0


def test_the_authors_file_is_not_replaced(folder, published):
    torch.save(published, folder / "out.pth")
    before = (folder / "out.pth").read_bytes()
    assert convert(folder, "out.pth", "--overwrite") == 2 and (folder / "out.pth").read_bytes() == before


@pytest.mark.parametrize("key", ["", "c", 1])
def test_names_that_cannot_be_renamed_are_told_with_the_file(folder, published, capsys, key):
    torch.save({"params": {**published, key: torch.zeros(1)}}, folder / "in.pth")
    assert convert(folder, "in.pth") == 2
    assert "in.pth" in capsys.readouterr().err and not (folder / "out.pth").exists()


def test_a_pickle_that_needs_more_than_tensors_is_not_read(folder, published, capsys):
    torch.save({"state_dict": published, "callbacks": {nn.Linear(1, 1): 1}}, folder / "in.ckpt")
    assert convert(folder, "in.ckpt") == 2
    told = capsys.readouterr().err
    assert "in.ckpt" in told and "weights_only=False" in told and "then convert weights.pth" in told
