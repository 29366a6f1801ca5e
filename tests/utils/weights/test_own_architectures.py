"""Published layouts are read by the file alone: by spandrel, and by our networks beside its own."""

from prismsr.archs.elan_arch import ELAN
from prismsr.archs.spsr_arch import SPSRNet
from prismsr.archs.srresnet_arch import SRResNet
from prismsr.tools.inference.generator import load_generator
from prismsr.utils.weights.files import WeightsError
from prismsr.utils.weights.own_architectures import make_registry
from prismsr.utils.weights.spandrel import read_spandrel

import pytest
import spandrel
import torch

SRRESNET = {"num_in_ch": 3, "num_out_ch": 3, "num_feat": 4, "num_block": 3, "upscale": 4}
SPSR = {**SRRESNET, "num_feat": 2, "num_block": 21}
ELAN_LAYER = {"scale": 4, "colors": 3, "m_elan": 3, "c_elan": 12, "n_share": 0, "r_expand": 2, "norm": "layer"}
ELAN_BATCH = {"scale": 2, "colors": 3, "m_elan": 4, "c_elan": 6, "n_share": 1, "r_expand": 3, "norm": "batch"}
CASES = [
    (SRResNet, SRRESNET),
    (SRResNet, {**SRRESNET, "upscale": 3}),
    (SRResNet, {**SRRESNET, "upscale": 2, "num_in_ch": 1, "num_out_ch": 1}),
    (SPSRNet, SPSR),
    (SPSRNet, {**SPSR, "upscale": 2}),
    (ELAN, ELAN_LAYER),
    (ELAN, ELAN_BATCH),
]


@pytest.mark.parametrize(("network", "arguments"), CASES)
def test_arguments_are_read_from_weights(network, arguments):
    state = network(**arguments).state_dict()
    assert network.read_arguments(state) == arguments
    for other in {SRResNet, SPSRNet, ELAN} - {network}:
        assert other.read_arguments(state) is None


@pytest.mark.parametrize(
    ("network", "arguments", "wrap"),
    [
        (SRResNet, SRRESNET, lambda state: state),  # as mmsr saves it
        (SPSRNet, SPSR, lambda state: state),
        (SPSRNet, SPSR, lambda state: {"params_ema": state}),
        (ELAN, ELAN_LAYER, lambda state: {"params": state}),
        (ELAN, ELAN_BATCH, lambda state: {"model_state_dict": {f"module.{key}": state[key] for key in state}}),
    ],
)
@torch.inference_mode()
def test_inference_takes_the_file_alone(tmp_path, network, arguments, wrap):
    torch.manual_seed(0)
    net = network(**arguments).eval()
    torch.save(wrap(net.state_dict()), tmp_path / "net_g.pth")
    generator = load_generator(tmp_path / "net_g.pth", device="cpu")
    image, scale = torch.rand(1, 3, 9, 7), arguments.get("upscale") or arguments["scale"]
    assert (generator.scale, generator.settings["network"]) == (scale, network.__name__)
    assert generator.window_size == (16 if network is ELAN else 1)
    torch.testing.assert_close(generator(image), net(image).clamp(0, 1))


def test_a_shared_weight_is_read_from_one_name(tmp_path):
    state = SPSRNet(**SPSR).state_dict()
    for kind in ("weight", "bias"):
        del state[f"HR_conv0_new.0.{kind}"]
    torch.save(state, tmp_path / "spsr.pth")
    assert isinstance(read_spandrel(tmp_path / "spsr.pth").model, SPSRNet)


def test_what_does_not_fit_is_an_error(tmp_path):
    state = SRResNet(**SRRESNET).state_dict()
    del state["HRconv.bias"]
    torch.save(state, tmp_path / "x.pth")
    with pytest.raises(WeightsError, match=r"x\.pth"):
        load_generator(tmp_path / "x.pth", device="cpu")


def test_spandrels_own_registry_stays_as_it_is():
    before = len(spandrel.MAIN_REGISTRY)
    assert len(make_registry()) >= before + 3
    assert len(spandrel.MAIN_REGISTRY) == before
