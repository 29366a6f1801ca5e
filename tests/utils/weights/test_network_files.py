"""Networks of option files that are named by a file of weights, and their weights in any layout that spandrel reads."""

from copy import deepcopy
from typing import Any

from prismsr.tools.inference.generator import load_generator
from prismsr.utils.options.check import check_options
from prismsr.utils.options.entries import find_registered
from prismsr.utils.options.files import LoadedOptions
from prismsr.utils.weights.files import WeightsError, load_strictly, network_weights
from prismsr.utils.weights.needs import needs_of
from prismsr.utils.weights.network_files import fill_from_files

import pytest
import torch
import yaml
from spandrel import MAIN_REGISTRY
from spandrel_tiny import TINY

HAT = {"in_chans": 3, **TINY["HAT"]}


def _save(folder, name: str, arguments: dict[str, Any], wrap=lambda state: {"params_ema": state}) -> Any:
    torch.manual_seed(0)
    net = find_registered("arch", name)(**deepcopy(arguments))
    torch.save(wrap(net.state_dict()), folder / "net.pth")
    return net


def _fill(folder, entry: Any, **options: Any) -> tuple[dict[str, Any], list[str]]:
    loaded = LoadedOptions({"network_g": entry, **options})
    problems = fill_from_files(loaded, "x.yml", folder)
    return loaded.options, [f"{problem.where}: {problem.key}" for problem in problems]


@pytest.mark.parametrize("name", ["HAT", "DAT", "SPAN", "ESRGAN", "UpCunet2x", "RCAN_spandrel", "ELAN"])
def test_arguments_come_from_the_file(tmp_path, name) -> None:
    arguments = TINY.get(name, {"m_elan": 2, "c_elan": 6, "n_share": 0})
    net = _save(tmp_path, name, arguments)
    options, problems = _fill(tmp_path, {"from": "net.pth"})
    assert problems == []
    entry = yaml.safe_load(yaml.safe_dump(options["network_g"]))  # an option file can hold them
    assert entry.pop("type") == name
    assert entry | arguments == entry
    assert options["path"] == {"pretrain_network_g": "net.pth", "param_key_g": "params_ema"}
    again = find_registered("arch", name)(**entry)
    load_strictly(again, network_weights(tmp_path / "net.pth")[0], "net.pth")
    image = torch.rand(1, 3, 16, 16)
    torch.testing.assert_close(again.eval()(image), net.eval()(image))


def test_arguments_beside_from_and_path_go_first(tmp_path) -> None:
    _save(tmp_path, "HAT", HAT)
    options, _ = _fill(tmp_path, {"from": "net.pth", "drop_path_rate": 0.3}, path={"pretrain_network_g": None})
    assert options["network_g"]["drop_path_rate"] == 0.3
    assert options["path"] == {"pretrain_network_g": None}


def test_arguments_that_the_weights_do_not_fit_are_refused_where_these_are_loaded(tmp_path) -> None:
    _save(tmp_path, "SPAN", TINY["SPAN"])
    entry = {"from": "net.pth", "feature_channels": 8, "img_range": 1.0}
    assert _fill(tmp_path, entry)[1] == ["x.yml: network_g.feature_channels"]
    assert _fill(tmp_path, entry, path={"pretrain_network_g": "./net.pth"})[1] != []
    for path in ({"pretrain_network_g": None}, {"pretrain_network_g": "other.pth"}, {"strict_load_g": False}):
        options, problems = _fill(tmp_path, entry, path=path)
        assert problems == [] and options["network_g"]["feature_channels"] == 8
    (problem,) = fill_from_files(LoadedOptions({"network_g": entry}), "x.yml", tmp_path)
    assert "is 8" in problem.message and "has 4" in problem.message


def test_a_file_tells_no_discriminator(tmp_path) -> None:
    _save(tmp_path, "SPAN", TINY["SPAN"])
    loaded = LoadedOptions({"network_d": {"from": "net.pth"}})
    assert [problem.key for problem in fill_from_files(loaded, "x.yml", tmp_path)] == ["network_d.from"]


def test_what_is_wrong_with_the_file_is_told(tmp_path) -> None:
    torch.save({"a.weight": torch.zeros(1)}, tmp_path / "other.pth")
    for entry in ({"from": "other.pth"}, {"from": "none.pth"}, {"from": 3}):
        options, problems = _fill(tmp_path, entry)
        assert problems == ["x.yml: network_g.from"]
        assert options["network_g"] == entry
        checked = check_options({"model_type": "SRModel", **options}, "x.yml", missing_paths="note", is_train=False)
        assert not [problem for problem in checked if problem.key.startswith("network_g")]
    assert _fill(tmp_path, {"from": "other.pth", "type": "HAT"})[1] == ["x.yml: network_g.from"]
    assert [need.what for need in needs_of({"network_g": {"from": "none.pth"}})] == ["file:none.pth"]


def test_inference_takes_a_file_of_options_with_it(tmp_path) -> None:
    net = _save(tmp_path, "HAT", HAT).eval()
    (tmp_path / "x.yml").write_text("network_g: {from: net.pth}\n", encoding="utf8")
    generator = load_generator(tmp_path / "x.yml", device="cpu", root=tmp_path)
    image = torch.rand(1, 3, 19, 17)
    torch.testing.assert_close(generator(image), net(image))
    with pytest.raises(ValueError, match="fp16"):
        load_generator(tmp_path / "x.yml", device="cpu", root=tmp_path, precision="fp16")


@pytest.mark.parametrize("key", ["model", "net", "params-ema", "state_dict"])
def test_weights_in_others_layouts(tmp_path, key) -> None:
    net = _save(tmp_path, "SPAN", TINY["SPAN"], lambda state: {key: {f"netG.{name}": state[name] for name in state}})
    other = find_registered("arch", "SPAN")(**TINY["SPAN"])
    load_strictly(other, network_weights(tmp_path / "net.pth")[0], "net.pth")
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in net.state_dict().items())


def test_weights_in_others_names() -> None:
    from basicsr.archs.rrdbnet_arch import RRDBNet

    torch.manual_seed(0)
    state = RRDBNet(3, 3, num_feat=4, num_block=1, num_grow_ch=32).state_dict()
    net = find_registered("arch", "ESRGAN")(num_filters=4, num_blocks=1)
    load_strictly(net, state, "x.pth")
    image = torch.rand(1, 3, 8, 8)
    expected = MAIN_REGISTRY.load(dict(state)).model.eval()(image)
    torch.testing.assert_close(net.eval()(image), expected)
    with pytest.raises(WeightsError, match="does not fit"):
        load_strictly(find_registered("arch", "ESRGAN")(num_filters=8, num_blocks=1), state, "x.pth")
