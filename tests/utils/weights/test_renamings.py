"""Checkpoints in the names of mmsr, KAIR, old ESRGAN and the original ELAN load strictly."""

from pathlib import Path

from prismsr.archs.elan_arch import ELAN
from prismsr.archs.srresnet_arch import SRResNet
from prismsr.tools.inference.generator import load_generator
from prismsr.utils.weights.files import WeightsError, load_strictly, network_weights

import pytest
import torch
from basicsr.archs.rrdbnet_arch import RRDBNet
from basicsr.archs.srresnet_arch import MSRResNet

BLOCKS = 2
PLAIN = {"num_in_ch": 3, "num_out_ch": 3, "num_feat": 4, "num_block": BLOCKS, "num_grow_ch": 2}

MMSR = {"conv_first": "conv_first", "conv_body": "trunk_conv", "conv_up1": "upconv1", "conv_up2": "upconv2"}
MMSR |= {"conv_hr": "HRconv", "conv_last": "conv_last"}
OLD = {"conv_first": "model.0", "conv_body": f"model.1.sub.{BLOCKS}", "conv_up1": "model.3", "conv_up2": "model.6"}
OLD |= {"conv_hr": "model.8", "conv_last": "model.10"}
for _block in range(BLOCKS):
    for _dense in (1, 2, 3):
        for _conv in (1, 2, 3, 4, 5):
            _name = f"body.{_block}.rdb{_dense}.conv{_conv}"
            MMSR[_name] = f"RRDB_trunk.{_block}.RDB{_dense}.conv{_conv}"
            OLD[_name] = f"model.1.sub.{_block}.RDB{_dense}.conv{_conv}.0"


def _renamed(state, layers):
    return {f"{layers[layer]}.{kind}": state[f"{layer}.{kind}"] for layer, _, kind in map(_split, state)}


def _split(key):
    return key.rpartition(".")


@pytest.mark.parametrize("layers", [MMSR, OLD], ids=["mmsr", "old ESRGAN"])
def test_rrdb(layers):
    net, other = RRDBNet(**PLAIN), RRDBNet(**PLAIN)
    state = _renamed(net.state_dict(), layers)
    assert len(state) == len(net.state_dict())
    load_strictly(other, state, "x.pth")
    torch.testing.assert_close(other.state_dict(), net.state_dict(), rtol=0, atol=0)


def test_inference_reads_them_with_an_option_file(tmp_path: Path):
    net = RRDBNet(**PLAIN)
    torch.save(_renamed(net.state_dict(), OLD), tmp_path / "w.pth")
    arguments = ", ".join(f"{key}: {value}" for key, value in PLAIN.items())
    (tmp_path / "x.yml").write_text(f"network_g: {{type: RRDBNet, {arguments}}}\n")
    generator = load_generator(tmp_path / "x.yml", tmp_path / "w.pth", device="cpu")
    image = torch.rand(1, 3, 5, 7)
    with torch.inference_mode():
        assert torch.equal(generator(image), net(image))


def test_what_the_table_does_not_know_is_still_an_error():
    state = _renamed(RRDBNet(**PLAIN).state_dict(), MMSR)
    state["RRDB_trunk.7.RDB1.conv1.bias"] = torch.zeros(2)
    with pytest.raises(WeightsError, match=r"unknown: RRDB_trunk\.7\.RDB1\.conv1\.bias\."):
        load_strictly(RRDBNet(**PLAIN), state, "x.pth")
    state = _renamed(RRDBNet(**PLAIN).state_dict(), MMSR)
    state["conv_hr.bias"] = torch.zeros(4)  # beside HRconv.bias, which then has no place
    with pytest.raises(WeightsError, match=r"unknown: HRconv\.bias\."):
        load_strictly(RRDBNet(**PLAIN), state, "x.pth")


def test_mmsr_names_fit_srresnet_as_they_are_and_basicsr_after_renaming():
    """BasicSR's MSRResNet calls three layers otherwise; RankSRGAN's network has mmsr's names itself."""
    net = SRResNet(num_feat=4, num_block=2)
    load_strictly(SRResNet(num_feat=4, num_block=2), net.state_dict(), "x.pth")
    theirs = MSRResNet(num_feat=4, num_block=2)
    state = {
        key.replace("body", "recon_trunk").replace("conv_hr", "HRconv"): value
        for key, value in theirs.state_dict().items()
    }
    other = MSRResNet(num_feat=4, num_block=2)
    load_strictly(other, state, "x.pth")
    torch.testing.assert_close(other.state_dict(), theirs.state_dict(), rtol=0, atol=0)


def test_the_original_elan(tmp_path: Path):
    net, other = (ELAN(m_elan=1, c_elan=6, norm="batch") for _ in range(2))
    means = {f"{side}_mean.{kind}": torch.ones(3) for side in ("sub", "add") for kind in ("weight", "bias")}
    torch.save({"model_state_dict": {**net.state_dict(), **means}, "epoch": 1}, tmp_path / "x.pth")
    load_strictly(other, network_weights(tmp_path / "x.pth")[0], "x.pth")
    torch.testing.assert_close(other.state_dict(), net.state_dict(), rtol=0, atol=0)
