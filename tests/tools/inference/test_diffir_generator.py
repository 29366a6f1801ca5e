"""DiffIR for inference: the release's file alone, tiles that know the whole image, and what is refused."""

from prismsr.archs.diffir.diffir_arch import DiffIRS2
from prismsr.tools.inference.generator import load_generator
from prismsr.tools.inference.onnx_export import ExportError, export_onnx
from prismsr.tools.inference.pictures import Picture
from prismsr.tools.inference.upscaler import Upscaler
from prismsr.utils.errors import UserError
from prismsr.utils.weights.files import WeightsError

import numpy as np
import pytest
import torch
from basicsr.utils import get_root_logger
from diffir_case import TINY, fill_waves, make_teacher
from published_fill import wave

LQ = 0.5 + 0.5 * wave(1, 3, 16, 24, k=0.3)


@pytest.fixture(scope="module")
def net():
    return fill_waves(DiffIRS2(**TINY)).eval()


@pytest.fixture
def generator(net, tmp_path):
    torch.save({"params_ema": net.state_dict()}, tmp_path / "s2.pth")
    return load_generator(tmp_path / "s2.pth", device="cpu")


@torch.inference_mode()
def test_a_file_of_weights_is_enough(generator, net):
    assert (generator.scale, generator.window_size, generator.settings["network"]) == (4, 8, "DiffIRS2")
    torch.testing.assert_close(generator(LQ), net(LQ).clamp(0, 1))


def test_a_file_that_does_not_tell_the_schedule_says_so(net, tmp_path, monkeypatch):
    told = []
    monkeypatch.setattr(get_root_logger(), "warning", told.append)
    file, state = tmp_path / "s2.pth", net.state_dict()
    torch.save({"params": state, net.NOTES: net.sections}, file)
    load_generator(file, device="cpu")
    assert told == []
    torch.save({"params": state}, file)
    load_generator(file, device="cpu")
    assert len(told) == 1 and "s2.pth" in told[0] and "timesteps 4" in told[0]
    torch.save({"params": state, net.NOTES: {"schedule": {"timesteps": 3}}}, file)
    with pytest.raises(WeightsError, match=r"timesteps: 3 then, 4 now.*--weights"):
        load_generator(file, device="cpu")


@torch.inference_mode()
def test_tiles_have_the_prior_of_the_whole_image(generator, net):
    seen = []
    net.G.register_forward_hook(lambda module, inputs, output: seen.append(inputs))
    generator.net = net
    picture = Picture((LQ[0].permute(1, 2, 0).numpy() * 255).round().astype(np.uint8), None)
    Upscaler(generator, tile=16, overlap=8)(picture)
    image = torch.from_numpy(picture.colour).permute(2, 0, 1)[None].contiguous() / 255
    assert [tile.shape[-2:] for tile, _ in seen] == [(16, 16)] * 2
    assert all(torch.equal(prior, net.predict_prior(image)) for _, prior in seen)


def test_the_first_stage_is_refused_in_plain_words(tmp_path):
    torch.save(make_teacher(), tmp_path / "s1.pth")
    (tmp_path / "s1.yml").write_text(f"network_g: {{from: {tmp_path / 's1.pth'}}}\n")
    with pytest.raises(UserError, match="DiffIRS2"):
        load_generator(tmp_path / "s1.yml", tmp_path / "s1.pth", device="cpu")


@pytest.mark.filterwarnings("ignore")
def test_a_start_from_the_image_is_not_exported(net, generator, tmp_path):
    generator.net = net
    with pytest.raises(ExportError, match=r"network_g\.start"):
        export_onnx(generator, tmp_path / "s2.onnx", size=8)
