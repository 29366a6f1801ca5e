"""LGCAA for tools/infer.py: a generator that samples."""

from prismsr.archs.latent.sampling.sampler import Sampler
from prismsr.archs.lgcaa.options import SamplingOptions
from prismsr.tools.inference.generator import GeneratorError, load_generator
from prismsr.tools.inference.upscaler import Upscaler
from prismsr.utils.errors import OptionError
from prismsr.utils.rng import derive_seed
from prismsr.utils.weights.files import WeightsError

import pytest
import torch
import yaml
from basicsr.archs import build_network
from lgcaa_tiny import NETWORK

IMAGE = torch.linspace(0, 1, 3 * 8 * 11).reshape(1, 3, 8, 11)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """An option file and its experiment, whose average differs from the last weights."""
    root = tmp_path_factory.mktemp("sampling")
    net = build_network(NETWORK)
    average = {name: value + 0.05 for name, value in net.state_dict().items()}
    models = root / "experiments" / "tiny" / "models"
    models.mkdir(parents=True)
    content = {"params": net.state_dict(), "params_ema": average, "lgcaa": net.sections}
    torch.save(content, models / "net_g_latest.pth")
    return root


def _file(root, **changes):
    options = {"name": "tiny", "scale": 3, "manual_seed": 5, "network_g": NETWORK, "train": {"total_iter": 1}}
    options["val"] = {"sampling": {"steps": 2, "tile": 0, "vae_tile": 0}}
    (root / "tiny.yml").write_text(yaml.safe_dump(options | changes))
    return root / "tiny.yml"


def test_images_are_those_of_the_sampler_whatever_came_before(root):
    generator = load_generator(_file(root), device="cpu", root=root)
    assert (generator.name, generator.scale, generator.whole) == ("tiny", 3, True)
    assert generator.settings["param_key"] == "params_ema" and generator.settings["sampling"]["steps"] == 2
    first = generator(IMAGE)
    assert not torch.equal(generator(1 - IMAGE), first)
    assert first.shape == (1, 3, 24, 33) and torch.equal(generator(IMAGE), first)
    net = build_network(NETWORK).eval()
    net.load_state_dict(torch.load(root / "experiments/tiny/models/net_g_latest.pth", weights_only=True)["params_ema"])
    sampler = Sampler(SamplingOptions(steps=2, tile=0, vae_tile=0), 3)
    assert torch.equal(sampler(net, IMAGE, torch.Generator().manual_seed(derive_seed(IMAGE, 5))), first)
    assert Upscaler(generator).tile == 0  # the sampler has tiles of its own


def test_what_is_wrong_is_told(root):
    with pytest.raises(GeneratorError, match=r"precision bf16: .*tiny: fp32"):
        load_generator(_file(root), device="cpu", precision="bf16", root=root)
    with pytest.raises(OptionError, match=r"val\.sampling\.stepz"):
        load_generator(_file(root, val={"sampling": {"stepz": 3}}), device="cpu", root=root)
    with pytest.raises(WeightsError, match=r"clamp: 1\.0 then"):
        load_generator(_file(root, network_g={**NETWORK, "lgcaa": {"clamp": None}}), device="cpu", root=root)
    for val in ("oops", {"sampling": 3}):
        with pytest.raises(OptionError, match=r"val\.sampling"):
            load_generator(_file(root, val=val), device="cpu", root=root)
    lenient = {"network_g": {**NETWORK, "lgcaa": {"clamp": None}}, "path": {"strict_load_g": False}}
    assert load_generator(_file(root, **lenient), device="cpu", root=root).scale == 3  # as the message says
    for name in ("scale", "manual_seed"):
        with pytest.raises(OptionError, match=f"{name}: .*'four'"):
            load_generator(_file(root, **{name: "four"}), device="cpu", root=root)
    halved = {**NETWORK, "base": {**NETWORK["base"], "frozen_dtype": "bfloat16"}}
    with pytest.raises(OptionError, match=r"val\.sampling\.amp"):
        load_generator(_file(root, network_g=halved), device="cpu", root=root)
    with pytest.raises(WeightsError, match=r"net_g_latest.pth"):
        load_generator(_file(root, name="other"), device="cpu", root=root)
