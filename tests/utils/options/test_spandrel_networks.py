"""spandrel's networks by name: whose a name is, what the check says of arguments and sizes, and that it is free."""

from typing import Any

import prismsr
from prismsr.archs.nafnet_arch import NAFNet
from prismsr.utils.options.check import check_options
from prismsr.utils.options.entries import check_entry, find_registered, known_names, registered_names
from prismsr.utils.options.spandrel_networks import NOT_TRAINED, list_networks

import pytest
import torch
from basicsr.archs import build_network
from basicsr.archs.rcan_arch import RCAN
from basicsr.archs.swinir_arch import SwinIR
from spandrel_tiny import TINY


def _check(entry: dict[str, Any], gt_size: int = 64, scale: int = 4) -> list[str]:
    opt = {
        **{"name": "x", "model_type": "PrismSRModel", "scale": scale, "num_gpu": 0, "network_g": entry},
        "datasets": {"train": {"type": "PairedImageMaskDataset", "gt_size": gt_size}},
    }
    problems = check_options(opt, "x.yml", missing_paths="note", is_train=True)
    return [
        problem.key for problem in problems if problem.key.startswith(("network_g", "scale", "datasets.train.gt_size"))
    ]


def test_names_of_ours_and_basicsrs_stay_theirs() -> None:
    own = {"NAFNet": NAFNet, "RCAN": RCAN, "SwinIR": SwinIR}
    for name, network in own.items():
        assert find_registered("arch", name) is network
        assert find_registered("arch", f"{name}_spandrel") not in (None, network)
    assert not {*own} & {*list_networks()}
    assert {"HAT", "DAT", "SPAN", "PLKSR", "RealPLKSR", "OmniSR", "RGT", "ATD", "DRCT"} <= known_names("arch")


def test_built_by_basicsr() -> None:
    prismsr.patch_basicsr()
    assert "SPAN" not in registered_names("arch")
    assert type(build_network({"type": "SPAN", **TINY["SPAN"]})).__name__ == "SPAN"
    assert find_registered("arch", "SPANN") is None
    assert "SPAN" in next(check_entry("arch", {"type": "SPANN"}, "network_g")).message


@pytest.mark.parametrize(
    ("change", "keys"),
    [
        ({}, []),
        ({"window_sise": 4}, ["network_g.window_sise"]),
        ({"depths": 3}, ["network_g.depths"]),
        ({"upscale": 2}, ["network_g.upscale"]),
        ({"squeeze_factor": 0}, ["network_g"]),  # its code divides by it
    ],
)
def test_arguments_are_checked(change, keys) -> None:
    assert _check({"type": "HAT", **TINY["HAT"], **change}) == keys


@pytest.mark.parametrize(
    ("name", "gt_size", "scale", "keys"),
    [
        ("HAT", 60, 4, ["datasets.train.gt_size"]),  # at least 16 LQ pixels
        ("DRCT", 128, 4, []),
        ("DRCT", 96, 4, ["datasets.train.gt_size"]),  # multiples of 16
        ("OmniSR", 64, 2, ["network_g"]),
        ("UpCunet3x", 96, 3, []),
    ],
)
def test_sizes_and_scale_are_checked(name, gt_size, scale, keys) -> None:
    assert _check({"type": name, **TINY[name]}, gt_size, scale) == keys


@pytest.mark.parametrize("name", NOT_TRAINED)
def test_those_for_inference_alone_are_refused(name) -> None:
    assert "network_g.type" in _check({"type": name})


def test_the_check_draws_no_random_numbers_and_a_network_leaves_its_input_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    _check({"type": "HAT", **TINY["HAT"], "img_range": 0.5})
    assert torch.equal(torch.rand(3), expected)
    net, image = find_registered("arch", "RCAN_spandrel")(**TINY["RCAN_spandrel"]), torch.rand(1, 3, 8, 8)
    kept = image.clone()
    net(image)
    assert torch.equal(image, kept)


def test_spandrel_is_not_imported_for_other_networks(launch_server, tmp_path) -> None:
    code = (
        "import sys; from prismsr.utils.options.check import check_options; import prismsr\n"
        "opt = {'model_type': 'PrismSRModel', 'network_g': {'type': 'RRDBNet'}, 'network_d': None}\n"
        "assert check_options(opt, 'x.yml', missing_paths='note', is_train=True)\n"
        "sys.exit('spandrel' in sys.modules)"
    )
    assert launch_server.run_code(tmp_path, code)[0] == 0


@pytest.mark.parametrize(
    ("name", "batch", "parts", "wrong"), [("DAT", 1, 1, 1), ("DAT", 2, 1, 0), ("DAT", 4, 4, 1), ("HAT", 1, 1, 0)]
)
def test_dat_normalises_over_two_samples_or_more(name, batch, parts, wrong) -> None:
    network = list_networks()[name]
    opt = {"scale": 4, "datasets": {"train": {"batch_size_per_gpu": batch}}, "train": {"accum_iter": parts}}
    found = [*network.check_options({"type": name, **TINY[name]}, "network_g", opt, True)]
    assert [problem.key for problem in found] == ["datasets.train.batch_size_per_gpu"] * wrong
    assert [*network.check_options({"type": name, **TINY[name]}, "network_g", opt, False)] == []
    sample = torch.rand(batch // parts, 3, 16, 16)
    net = network(**TINY[name]).train()
    if wrong:
        with pytest.raises(ValueError, match="more than 1 value per channel"):
            net(sample)
    else:
        net(sample)
