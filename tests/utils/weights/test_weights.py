"""Weights files in every layout that BasicSR's users have, and those that are refused."""

import os
import pickle
from argparse import Namespace

from prismsr.utils.weights.files import WeightsError, network_weights, read_file, require_fit

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

STATE = {"0.weight": torch.arange(6.0).reshape(2, 3), "0.bias": torch.ones(2)}
OTHER = {"0.weight": torch.zeros(2, 3), "0.bias": torch.zeros(2)}


def _save(path, content):
    torch.save(content, path)
    return path


def _same(state):
    return state.keys() == STATE.keys() and all(torch.equal(state[key], STATE[key]) for key in STATE)


@pytest.mark.parametrize("content", [STATE, {"params": STATE}])
def test_a_key_that_a_file_lacks_is_no_other_network(tmp_path, content):
    with pytest.raises(WeightsError, match="has no params_emma"):
        network_weights(_save(tmp_path / "net.pth", content), "params_emma")


@pytest.mark.parametrize(
    ("content", "key", "found"),
    [
        ({"params": STATE, "params_ema": OTHER}, "params", "params"),
        ({"params": OTHER, "params_ema": STATE}, "params_ema", "params_ema"),
        ({"params": STATE}, "params_ema", "params"),
        ({"params_ema": STATE}, "params", "params_ema"),
        ({"state_dict": STATE, "epoch": 3}, "params", "state_dict"),
        (STATE, "params", None),
        (STATE, None, None),
        ({f"module.{key}": value for key, value in STATE.items()}, "params", None),
        ({"params": {f"module._orig_mod.{key}": value for key, value in STATE.items()}}, "params", "params"),
    ],
)
def test_layouts(tmp_path, content, key, found):
    state, where = network_weights(_save(tmp_path / "net.pth", content), key)
    assert _same(state)
    assert where == found


def test_safetensors(tmp_path):
    save_file(STATE, tmp_path / "net.safetensors")
    state, where = network_weights(tmp_path / "net.safetensors")
    assert _same(state) and where is None
    (tmp_path / "net.safetensors").write_bytes(b"\x00" * 20)
    with pytest.raises(WeightsError, match=r"net\.safetensors"):
        network_weights(tmp_path / "net.safetensors")


class _Malicious:
    def __reduce__(self):
        return os.mkdir, ("hacked",)


def _zip_format(path):
    torch.save({"params": _Malicious(), "options": Namespace(lr=1)}, path)


def _old_format(path):
    torch.save({"params": _Malicious()}, path, _use_new_zipfile_serialization=False)


@pytest.mark.parametrize(
    ("write", "names"), [(_zip_format, "argparse.Namespace, posix.mkdir"), (_old_format, "posix.mkdir")]
)
def test_file_that_would_run_code_is_refused_by_name(tmp_path, monkeypatch, write, names):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "evil.pth")
    with pytest.raises(WeightsError, match=f"evil.pth .*{names}"):
        read_file(tmp_path / "evil.pth")
    assert not (tmp_path / "hacked").exists()


def test_bare_pickle_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "evil.pth").write_bytes(pickle.dumps(_Malicious(), protocol=2))
    with pytest.raises(WeightsError, match=r"evil\.pth"):
        read_file(tmp_path / "evil.pth")
    assert not (tmp_path / "hacked").exists()


def test_old_format_of_plain_tensors_is_read(tmp_path):
    torch.save({"params": STATE}, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    assert _same(network_weights(tmp_path / "old.pth")[0])


def test_no_network_in_the_file(tmp_path):
    _save(tmp_path / "x.pth", {"iter": 3, "lr": 0.1})
    with pytest.raises(WeightsError, match=r"params \(it holds iter, lr"):
        network_weights(tmp_path / "x.pth")


def test_misfit_names_keys_and_sizes():
    net = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 2))
    state = {**STATE, "0.bias": torch.zeros(5), "old.weight": torch.zeros(1)}
    with pytest.raises(WeightsError) as error:
        require_fit(net, state, "net.pth")
    for part in ("missing: 1.bias, 1.weight", "unknown: old.weight", "0.bias (5,) instead of (2,)", "Sequential"):
        assert part in str(error.value)
    require_fit(nn.Sequential(nn.Linear(3, 2)), STATE, "net.pth")
