"""Networks that spandrel reads as enhancers: what is accepted, and tiles that give what the whole image gives."""

import pickle
import sys

from prismsr.data.prepare.versions.enhancement_networks import enhance, enhance_tiled, load_model
from prismsr.utils.weights.files import WeightsError

import numpy as np
import pytest
import torch
from basicsr.archs.srvgg_arch import SRVGGNetCompact
from safetensors.torch import save_file

from .enhancement_networks import RADIUS, save_network

pytest.importorskip("spandrel")


@pytest.fixture
def model(tmp_path):
    return load_model(str(save_network(tmp_path / "compact.pth")))


def test_output_is_the_networks(tmp_path, model, photograph):
    image = np.ascontiguousarray(photograph[:50, :61, ::-1])
    network = SRVGGNetCompact(3, 3, num_feat=8, num_conv=RADIUS - 2, upscale=1)
    network.load_state_dict(torch.load(tmp_path / "compact.pth", weights_only=True)["params"])
    rgb = torch.from_numpy(image[..., ::-1].copy()).permute(2, 0, 1)[None] / 255
    expected = (network(rgb)[0].detach().clamp(0, 1) * 255).round().permute(1, 2, 0).numpy()[..., ::-1]
    result = enhance(image, model)
    assert result.dtype == np.uint8 and np.abs(result - expected).max() <= 1
    assert np.abs(result.astype(int) - image).mean() > 0.5
    assert not any(parameter.requires_grad and parameter.grad is not None for parameter in model.model.parameters())


@pytest.mark.parametrize("tile", [16, 17, 40])
def test_tiles_equal_the_whole_where_the_padding_covers_the_receptive_field(model, photograph_tensor, tile):
    model.model.double()  # what is rounded is the result alone, to float32
    image = photograph_tensor[..., :50, :61].double()
    whole = enhance_tiled(image, model, 0, 0)
    torch.testing.assert_close(enhance_tiled(image, model, tile, RADIUS), whole, atol=1e-6, rtol=0, check_dtype=False)


def test_without_padding_tiles_differ_at_their_borders_only(model, photograph_tensor):
    model.model.double()
    image = photograph_tensor[..., :48, :64].double()
    difference = (enhance_tiled(image, model, 16, 0) - enhance_tiled(image, model, 0, 0)).abs().amax(dim=(0, 1))
    inner = torch.zeros(48, 64, dtype=torch.bool)
    for top in range(0, 48, 16):
        for left in range(0, 64, 16):
            inner[top + RADIUS : top + 16 - RADIUS, left + RADIUS : left + 16 - RADIUS] = True
    assert difference[inner].max() < 1e-6
    assert difference.max() > 1e-3


@pytest.mark.parametrize("key", [None, "params_ema", "state_dict"])
def test_layouts(tmp_path, model, photograph_tensor, key):
    other = load_model(str(save_network(tmp_path / "other.pth", key=key)))
    image = photograph_tensor[..., :20, :20]
    assert torch.equal(enhance_tiled(image, other, 0, 0), enhance_tiled(image, model, 0, 0))


def test_safetensors(tmp_path, model, photograph_tensor):
    save_file(torch.load(tmp_path / "compact.pth", weights_only=True)["params"], tmp_path / "compact.safetensors")
    other = load_model(str(tmp_path / "compact.safetensors"))
    image = photograph_tensor[..., :20, :20]
    assert torch.equal(enhance_tiled(image, other, 0, 0), enhance_tiled(image, model, 0, 0))


class Evil:
    def __reduce__(self):
        return (print, ("code ran",))


def test_what_is_refused(tmp_path, capsys):
    (tmp_path / "evil.pth").write_bytes(pickle.dumps({"params": Evil()}, protocol=2))
    torch.save({"params": {"layer.weight": torch.zeros(3)}}, tmp_path / "unknown.pth")
    (tmp_path / "damaged.pth").write_bytes(b"PK")
    save_network(tmp_path / "x2.pth", upscale=2)
    save_network(tmp_path / "grey.pth", channels=1)
    for name, message in {
        "missing": "No file at .*missing.pth",
        "evil": "evil.pth was not read: besides tensors it needs .*print|evil.pth is damaged",
        "damaged": "damaged.pth is damaged or no weights file",
        "unknown": "unknown.pth: spandrel .* finds no network in it that it knows",
        "x2": "x2.pth: RealESRGAN Compact enlarges x2; .* x1 is needed",
        "grey": "grey.pth: RealESRGAN Compact maps 1 channels to 1; RGB to RGB",
    }.items():
        with pytest.raises(WeightsError, match=message):
            load_model(str(tmp_path / f"{name}.pth"))
    assert "code ran" not in capsys.readouterr().out


def test_without_spandrel(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "spandrel", None)
    path = save_network(tmp_path / "compact.pth")
    with pytest.raises(WeightsError, match="pip install spandrel"):
        load_model(str(path), "cpu")
