"""LoRA in a training: what a step changes, the files of a checkpoint, going on from them, and the section's check."""

import logging
from copy import deepcopy

from prismsr.models.lora.training import read_adapter, state_hash
from prismsr.models.training.session import _resume_networks
from prismsr.utils.files import hash_file
from prismsr.utils.options.check import check_options
from prismsr.utils.weights.files import WeightsError, network_weights

import pytest
import torch
from basicsr.archs import build_network
from basicsr.models import build_model
from basicsr.utils import set_random_seed

RRDB = {"type": "RRDBNet", "num_in_ch": 3, "num_out_ch": 3, "num_feat": 8, "num_block": 2, "num_grow_ch": 4}
LORA = {"rank": 2, "alpha": 3.0, "targets": ["body.*.rdb*.conv*"]}


@pytest.fixture
def base(tmp_path):
    """A base file whose params_ema differ from its params; the run below begins from params_ema."""
    torch.manual_seed(1)
    path = tmp_path / "base" / "base.pth"
    path.parent.mkdir()
    torch.save({key: build_network(RRDB).state_dict() for key in ("params", "params_ema")}, path)
    return path


@pytest.fixture
def make(tmp_path, base):
    """make(**lora): a PrismSRModel; with `state`, one that goes on from it as the session makes it."""

    def make(state=None, **changes):
        options = {
            "name": "test", "model_type": "PrismSRModel", "scale": 4, "num_gpu": 0, "dist": False, "rank": 0,
            "world_size": 1, "is_train": True, "network_g": dict(RRDB), "lora": {**LORA, **changes},
            "path": {
                "models": str(tmp_path), "training_states": str(tmp_path), "resume_state": state and str(state),
                "pretrain_network_g": str(base), "param_key_g": "params_ema",
            },
            "train": {
                "ema_decay": 0.9, "losses": {"l_g_pix": {"type": "L1Loss"}}, "optim_g": {"type": "Adam", "lr": 1e-2},
                "scheduler": {"type": "MultiStepLR", "milestones": [1000]},
            },
        }  # fmt: skip
        set_random_seed(0)
        if state is None:
            return build_model(options)
        content = torch.load(state, weights_only=True)
        _resume_networks(options, content)
        model = build_model(options)
        model.resume_training(content)
        return model

    return make


def _train(model, make_batch, first, last):
    for iteration in range(first, last + 1):
        model.feed_data(make_batch(iteration, samples=1))
        model.optimize_parameters(iteration)


def _load(path):
    return torch.load(path, weights_only=True)


def test_steps_change_the_adapters_alone(make, make_batch, base, tmp_path):
    model = make()
    began = {name: deepcopy(net.state_dict()) for name, net in (("g", model.net_g), ("ema", model.net_g_ema))}
    _train(model, make_batch, 1, 3)
    for name, net in (("g", model.net_g), ("ema", model.net_g_ema)):
        for key, value in net.state_dict().items():
            assert torch.equal(value, began[name][key]) == ("lora" not in key), f"{name}.{key}"
    model.save(0, 3)
    saved, original = _load(tmp_path / "net_g_3.pth"), _load(base)["params_ema"]
    assert list(saved) == ["params", "params_ema"]
    for state in saved.values():
        assert list(state) == list(original)
        changed = {key for key in state if not torch.equal(state[key], original[key])}
        assert changed == {key for key in original if ".rdb" in key and key.endswith("weight")}
    assert any(not torch.equal(saved["params"][key], saved["params_ema"][key]) for key in original)
    with torch.no_grad():
        for key, net in (("params", model.net_g), ("params_ema", model.net_g_ema)):
            plain = build_network(RRDB)
            plain.load_state_dict(saved[key], strict=True)
            assert torch.equal(plain(model.lq), net(model.lq))


def test_files_of_a_checkpoint(make, make_batch, base, tmp_path):
    model = make(alpha=None)
    model.save(0, 1)
    names = {"net_g_1.pth", "net_g_lora_1.pth", "1.state"}
    assert names <= {path.name for path in tmp_path.iterdir()}
    hashes = {name: hash_file(tmp_path / name) for name in ("net_g_1.pth", "net_g_lora_1.pth")}
    assert _load(tmp_path / "1.state")["prismsr"]["networks"] == hashes
    adapter = read_adapter(tmp_path / "net_g_lora_1.pth")
    original = _load(base)["params_ema"]
    assert adapter["lora"] == {"rank": 2, "alpha": 2.0, "targets": LORA["targets"], "base_sha256": state_hash(original)}
    assert adapter["params"].keys() == adapter["params_ema"].keys()
    assert len(adapter["params"]) == 2 * 2 * 15 and "body.1.rdb3.conv5.lora_B" in adapter["params"]
    model.opt["logger"] = {"keep_checkpoints": 1}
    model.save(0, 2)
    assert not any((tmp_path / name).exists() for name in names)
    model.save(0, -1)
    assert (tmp_path / "net_g_lora_latest.pth").is_file()
    with pytest.raises(WeightsError, match="merge_lora"):
        network_weights(tmp_path / "net_g_lora_2.pth")


def test_resumed_twice_as_if_never_cut(make, make_batch, tmp_path):
    whole = make()
    _train(whole, make_batch, 1, 6)
    whole.save(0, 6)
    expected = [_load(tmp_path / name) for name in ("net_g_6.pth", "net_g_lora_6.pth", "6.state")]
    model = make()
    for first, last in ((1, 2), (3, 4), (5, 6)):
        _train(model, make_batch, first, last)
        model.save(0, last)
        model = make(tmp_path / f"{last}.state")
    found = [_load(tmp_path / name) for name in ("net_g_6.pth", "net_g_lora_6.pth", "6.state")]
    for one, other in ((expected[0], found[0]), (expected[1], found[1])):
        for key in ("params", "params_ema"):
            assert all(torch.equal(one[key][name], other[key][name]) for name in one[key])
    assert expected[1]["lora"] == found[1]["lora"]
    states = [state["optimizers"][0]["state"] for state in (expected[2], found[2])]
    assert all(torch.equal(states[0][i][key], states[1][i][key]) for i in states[0] for key in states[0][i])


def test_resuming_with_another_base_or_section_is_refused(make, base, tmp_path):
    make().save(0, 1)
    with pytest.raises(WeightsError, match=r"net_g_lora_1.pth.*alpha"):
        make(tmp_path / "1.state", alpha=5.0)
    content = _load(base)
    torch.save(dict(reversed(content.items())), base)
    assert make(tmp_path / "1.state").lora.about["rank"] == 2
    content["params_ema"]["conv_last.bias"][0] += 1e-6
    torch.save(content, base)
    with pytest.raises(WeightsError, match=r"base.pth.*net_g_lora_1.pth"):
        make(tmp_path / "1.state")
    (tmp_path / "net_g_lora_1.pth").unlink()
    with pytest.raises(WeightsError, match=r"No file at .*net_g_lora_1.pth"):
        make(tmp_path / "1.state")


def test_session_keeps_the_base_and_knows_the_adapter(tmp_path):
    path = {"models": "m", "resume_state": "s", "pretrain_network_g": "base.pth", "param_key_g": "params_ema"}
    state = {"iter": 7, "prismsr": {"networks": {"net_g_7.pth": 1, "net_g_lora_7.pth": 1}}}
    with pytest.raises(WeightsError, match="lora"):
        _resume_networks({"network_g": {}, "path": dict(path)}, state)
    opt = {"network_g": {}, "network_d": {}, "path": dict(path), "lora": LORA}
    _resume_networks(opt, state)
    expected = {"pretrain_network_d": "m/net_d_7.pth", "resume_lora_g": "m/net_g_lora_7.pth"}
    assert opt["path"] == {**path, **expected}
    opt = {"network_g": {}, "path": {**path, "ignore_resume_networks": ["network_g"]}, "lora": LORA}
    _resume_networks(opt, state)
    assert "resume_lora_g" not in opt["path"] and opt["path"]["pretrain_network_g"] == "base.pth"


def test_log_tells_what_is_trained(make, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("basicsr"), "propagate", True)
    with caplog.at_level(logging.INFO, "basicsr"):
        model = make()
    trained = sum(value.numel() for value in model.net_g.parameters() if value.requires_grad)
    total = sum(value.numel() for value in model.net_g.parameters())
    assert f"rank 2, alpha 3, 30 layers; {trained:,d} trainable parameters of {total:,d}" in caplog.text
    assert "params_ema of its file is not loaded" in caplog.text
    assert sum(value.numel() for group in model.optimizer_g.param_groups for value in group["params"]) == trained


@pytest.mark.parametrize(
    ("lora", "path", "expected"),
    [
        (LORA, {"pretrain_network_g": "base.pth"}, []),
        (LORA, {}, ["path.pretrain_network_g: is required with lora, which adapts a trained network"]),
        ({"rank": 0, "targets": [], "alphas": 1}, None, ["lora.rank: must be a whole number", "lora.targets: ",
            "lora.alphas: unknown key; did you mean 'alpha'", "path.pretrain_network_g: is required with lora"]),
        (None, {}, []),
    ],
)  # fmt: skip
def test_section_is_checked(lora, path, expected):
    opt = {"name": "x", "model_type": "PrismSRModel", "num_gpu": 0, "datasets": {}, "lora": lora, "path": path}
    problems = check_options(opt, "x.yml", missing_paths="note", is_train=True)
    found = [
        f"{problem.key}: {problem.message}" for problem in problems if "lora" in f"{problem.key} {problem.message}"
    ]
    assert len(found) == len(expected)
    assert all(text.startswith(begin) for begin, text in zip(sorted(expected), sorted(found), strict=True))
    tested = check_options(opt, "x.yml", missing_paths="note", is_train=False)
    assert not any("pretrain_network_g" in str(problem) and "lora" in str(problem) for problem in tested)
