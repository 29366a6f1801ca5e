"""tools/merge_lora.py: the same weights as the training saves, the base's hash, and what is refused."""

from prismsr.models.lora.adapters import adapter_state, adapters, add_adapters, merge_state
from prismsr.models.lora.training import Lora
from prismsr.tools import merge_lora

import pytest
import torch
from basicsr.archs import build_network
from safetensors.torch import load_file
from torch import nn

NETWORK = {"type": "SRVGGNetCompact", "num_feat": 8, "num_conv": 2, "upscale": 4}
TARGETS = ["body.[024]"]


@pytest.fixture(scope="module")
def tool():
    return merge_lora


@pytest.fixture
def trained(tmp_path):
    """base.pth (trained on: params_ema) and lora.pth in tmp_path; net_g and its average."""
    torch.manual_seed(0)
    states = {key: build_network(NETWORK).state_dict() for key in ("params", "params_ema")}
    torch.save(states, tmp_path / "base.pth")
    net = build_network(NETWORK)
    net.load_state_dict(states["params_ema"])
    lora = Lora(net, "base.pth", None, rank=2, alpha=3.0, targets=TARGETS)
    average = lora.build_average(net)
    for one in (net, average):
        for _, _, adapter in adapters(one):
            nn.init.normal_(adapter.lora_B)
    torch.save(lora.content({"params": net, "params_ema": average}), tmp_path / "lora.pth")
    return net, average


@pytest.fixture
def run(tool, tmp_path, monkeypatch):
    """Run the tool in tmp_path; return its exit code."""
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: tool.main(["--base", "base.pth", "--lora", "lora.pth", *arguments])


def _equal(one, other):
    return list(one) == list(other) and all(torch.equal(one[key], other[key]) for key in one)


def test_merges_what_the_training_merges(run, trained, tmp_path, capsys):
    net, average = trained
    assert run("-o", "out/merged.pth") == 0
    assert "params, params_ema of 3 layers, rank 2, alpha 3" in capsys.readouterr().out
    merged = torch.load(tmp_path / "out" / "merged.pth", weights_only=True)
    assert list(merged) == ["params", "params_ema"]
    plain = build_network(NETWORK)
    lq = torch.rand(1, 3, 8, 8)
    for state, one in ((merged["params"], net), (merged["params_ema"], average)):
        assert _equal(state, merge_state(one))
        plain.load_state_dict(state, strict=True)
        torch.testing.assert_close(plain(lq), one(lq), rtol=0, atol=1e-5)


def test_one_of_them_and_safetensors(run, trained, tmp_path):
    net, average = trained
    assert run("-o", "one.pth", "--param_key", "params_ema") == 0
    one = torch.load(tmp_path / "one.pth", weights_only=True)
    assert list(one) == ["params"] and _equal(one["params"], merge_state(average))
    assert run("-o", "two.safetensors") == 0
    assert run("-o", "three.safetensors", "--param_key", "params") == 0
    for name, expected in (("two", average), ("three", net)):
        found = load_file(tmp_path / f"{name}.safetensors")
        assert _equal(dict(sorted(found.items())), dict(sorted(merge_state(expected).items())))


def test_base_in_half_precision_and_without_a_key(run, trained, tmp_path):
    state = torch.load(tmp_path / "base.pth", weights_only=True)["params_ema"]
    torch.save(state, tmp_path / "base.pth")
    assert run("-o", "full.pth") == 0
    torch.save({"state_dict": {f"module.{key}": value.half() for key, value in state.items()}}, tmp_path / "base.pth")
    assert run("-o", "half.pth") == 2
    assert run("-o", "half.pth", "--force") == 0
    full, half = (torch.load(tmp_path / f"{name}.pth", weights_only=True)["params"] for name in ("full", "half"))
    assert all(value.dtype is torch.float16 for value in half.values())
    assert all(torch.allclose(half[key].float(), full[key], atol=2e-3) for key in full)
    assert full.keys() == half.keys()


def test_another_base_is_refused_unless_forced(run, trained, tmp_path, capsys):
    net, _ = trained
    assert run("-o", "merged.pth", "--base_key", "params") == 2
    assert "is not the network that the adapter was trained on" in capsys.readouterr().err
    assert run("-o", "merged.pth", "--base_key", "params_emma") == 2
    assert "base.pth has no params_emma" in capsys.readouterr().err
    assert not (tmp_path / "merged.pth").exists()
    assert run("-o", "merged.pth", "--base_key", "params", "--force") == 0
    other = build_network(NETWORK)
    other.load_state_dict(torch.load(tmp_path / "base.pth", weights_only=True)["params"])
    add_adapters(other, 2, 3.0, TARGETS)
    with torch.no_grad():
        for name, _, adapter in adapters(other):
            adapter.lora_A.copy_(adapter_state(net)[f"{name}.lora_A"])
            adapter.lora_B.copy_(adapter_state(net)[f"{name}.lora_B"])
    assert _equal(torch.load(tmp_path / "merged.pth", weights_only=True)["params"], merge_state(other))


def test_adapter_of_another_network(run, trained, tmp_path, capsys):
    torch.save(build_network({**NETWORK, "num_feat": 4}).state_dict(), tmp_path / "base.pth")
    assert run("-o", "merged.pth", "--force") == 2
    assert "adapter of layer body.0 does not fit the base's body.0.weight" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-o", "base.pth"], "base.pth: is there already; --overwrite"),
        (["-o", "merged.onnx"], "must end in .pth or .safetensors"),
        (["-o", "merged.pth", "--lora", "base.pth"], "base.pth is no LoRA adapter"),
        (["-o", "merged.pth", "--lora", "nowhere.pth"], "No file at nowhere.pth"),
        (["-o", "merged.pth", "--base", "lora.pth"], "lora.pth holds a LoRA adapter, no network"),
    ],
)
def test_wrong_usage(run, trained, tmp_path, capsys, arguments, message):
    assert run(*arguments) == 2
    assert message in capsys.readouterr().err


def test_overwrite_missing_average_and_a_place_that_cannot_be_written(run, trained, tmp_path, capsys):
    content = torch.load(tmp_path / "lora.pth", weights_only=True)
    del content["params_ema"]
    torch.save(content, tmp_path / "lora.pth")
    assert run("-o", "merged.pth", "--param_key", "params_ema") == 2
    assert "lora.pth has no params_ema" in capsys.readouterr().err
    (tmp_path / "merged.pth").write_bytes(b"old")
    assert run("-o", "merged.pth", "--overwrite") == 0
    assert list(torch.load(tmp_path / "merged.pth", weights_only=True)) == ["params"]
    (tmp_path / "file").write_bytes(b"")
    assert run("-o", "file/merged.pth") == 1
    assert "cannot be written" in capsys.readouterr().err
