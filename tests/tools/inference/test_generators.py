"""Generators from option files and from weights that spandrel knows; wrong ones are told apart."""

from pathlib import Path

from prismsr.tools.inference.generator import GeneratorError, load_generator
from prismsr.utils.devices import find_device
from prismsr.utils.errors import OptionError
from prismsr.utils.padding import pad_to_windows
from prismsr.utils.weights.files import WeightsError

import pytest
import torch
from basicsr.archs.rrdbnet_arch import RRDBNet
from basicsr.archs.srvgg_arch import SRVGGNetCompact
from basicsr.archs.swinir_arch import SwinIR
from generator_cases import write_model

ROUNDING = 2e-5  # in float32: four convolutions whose sums have 72 terms below 1, each right to 72 * 2^-24 = 4e-6
IMAGE = torch.linspace(0, 1, 3 * 11 * 13).reshape(1, 3, 11, 13)


def compact(state: dict[str, torch.Tensor]) -> SRVGGNetCompact:
    net = SRVGGNetCompact(num_feat=4, num_conv=1, upscale=4)
    net.load_state_dict(state)
    return net


@pytest.mark.parametrize(("param_key", "used"), [("auto", "params_ema"), ("params", "params")])
def test_option_file_with_its_experiment(tmp_path: Path, param_key: str, used: str) -> None:
    file = write_model(tmp_path)
    generator = load_generator(file, param_key=param_key, device="cpu", root=tmp_path)
    weights = tmp_path / "experiments" / "tiny" / "models" / "net_g_latest.pth"
    assert torch.equal(generator(IMAGE), compact(torch.load(weights)[used])(IMAGE))
    assert (generator.name, generator.scale, generator.window_size) == ("tiny", 4, 1)
    assert generator.settings["param_key"] == used
    other = load_generator(file, weights, param_key=param_key, device="cpu", root="/nowhere")
    assert other.settings == generator.settings


def one_channel(folder: Path, color: str) -> tuple[SRVGGNetCompact, Path]:
    """A network of one channel with its weights, and its option file."""
    torch.manual_seed(0)
    net = SRVGGNetCompact(num_in_ch=1, num_out_ch=1, num_feat=4, num_conv=1, upscale=2).eval()
    torch.save(net.state_dict(), folder / "w.pth")
    network = "{type: SRVGGNetCompact, num_in_ch: 1, num_out_ch: 1, num_feat: 4, num_conv: 1, upscale: 2}"
    (folder / "x.yml").write_text(f"network_g: {network}\ndatasets: {{train: {{color: {color}}}, val: {{}}}}\n")
    return net, folder / "x.yml"


def test_network_of_one_channel_takes_the_colours_one_by_one(tmp_path: Path) -> None:
    net, file = one_channel(tmp_path, "gray")
    generator = load_generator(file, tmp_path / "w.pth", device="cpu")
    with torch.inference_mode():
        expected = torch.cat([net(IMAGE[:, channel : channel + 1]) for channel in range(3)], 1)
    torch.testing.assert_close(generator(IMAGE), expected)
    assert "color" not in generator.settings


def test_network_of_luminance_changes_luminance_alone(tmp_path: Path) -> None:
    """Y of the output is the network's; its Cb and Cr are those of the image enlarged by bicubic."""
    net, file = one_channel(tmp_path, "y")
    generator = load_generator(file, tmp_path / "w.pth", device="cpu")
    colours = torch.rand(1, 3, 11, 13, generator=torch.Generator().manual_seed(0))
    to_y = torch.tensor([65.481, 128.553, 24.966])[:, None, None] / 255
    luma = (colours * to_y).sum(1, keepdim=True) + 16 / 255
    output = generator(colours)
    with torch.inference_mode():
        torch.testing.assert_close((output * to_y).sum(1, keepdim=True) + 16 / 255, net(luma))
    large = torch.nn.functional.interpolate(colours, scale_factor=2, mode="bicubic")
    for one, other in ((0, 1), (1, 2)):
        torch.testing.assert_close(output[:, one] - output[:, other], large[:, one] - large[:, other])
    assert generator.settings["color"] == "y"


def test_windows_are_filled_by_mirroring(tmp_path: Path) -> None:
    options = "img_size: 16, window_size: 4, depths: [1], embed_dim: 6, num_heads: [2], mlp_ratio: 1, upscale: 2"
    (tmp_path / "x.yml").write_text(f"network_g: {{type: SwinIR, {options}, upsampler: pixelshuffledirect}}\n")
    net = SwinIR(
        img_size=16,
        window_size=4,
        depths=[1],
        embed_dim=6,
        num_heads=[2],
        mlp_ratio=1,
        upscale=2,
        upsampler="pixelshuffledirect",
    ).eval()
    torch.save(net.state_dict(), tmp_path / "w.pth")
    generator = load_generator(tmp_path / "x.yml", tmp_path / "w.pth", device="cpu")
    assert (generator.name, generator.scale, generator.window_size) == ("x", 2, 4)
    with torch.inference_mode():
        expected = net(pad_to_windows(IMAGE, 4))[..., :22, :26]
    assert torch.equal(generator(IMAGE), expected)


def test_test_files_name_their_weights_and_unshuffling_networks_are_padded(tmp_path: Path) -> None:
    net = RRDBNet(3, 3, scale=2, num_feat=4, num_block=1, num_grow_ch=2)
    torch.save({"params": net.state_dict()}, tmp_path / "w.pth")
    network = "{type: RRDBNet, num_in_ch: 3, num_out_ch: 3, scale: 2, num_feat: 4, num_block: 1, num_grow_ch: 2}"
    (tmp_path / "x.yml").write_text(f"network_g: {network}\npath: {{pretrain_network_g: w.pth}}\n")
    generator = load_generator(tmp_path / "x.yml", device="cpu", root=tmp_path)
    assert generator(IMAGE).shape == (1, 3, 22, 26)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_weights_that_spandrel_knows(tmp_path: Path, suffix: str) -> None:
    from safetensors.torch import save_file

    net = SRVGGNetCompact(num_feat=8, num_conv=2, upscale=4)
    path = tmp_path / f"net{suffix}"
    if suffix == ".pth":
        torch.save({"params": compact_like(net, 0.5), "params_ema": net.state_dict()}, path)
    else:
        save_file(net.state_dict(), path)
    generator = load_generator(path, device="cpu")
    assert torch.allclose(generator(IMAGE), net(IMAGE).clamp(0, 1), rtol=0, atol=ROUNDING)
    assert (generator.name, generator.scale) == ("net", 4)
    if suffix == ".pth":
        assert not torch.allclose(load_generator(path, param_key="params", device="cpu")(IMAGE), generator(IMAGE))


def compact_like(net: SRVGGNetCompact, factor: float) -> dict[str, torch.Tensor]:
    return {key: factor * value for key, value in net.state_dict().items()}


def test_grey_networks_see_each_channel(tmp_path: Path) -> None:
    net = SRVGGNetCompact(num_in_ch=1, num_out_ch=1, num_feat=8, num_conv=2, upscale=4)
    torch.save(net.state_dict(), tmp_path / "grey.pth")
    generator = load_generator(tmp_path / "grey.pth", device="cpu")
    expected = torch.cat([net(IMAGE[:, channel : channel + 1]) for channel in range(3)], 1).clamp(0, 1)
    assert torch.allclose(generator(IMAGE), expected, rtol=0, atol=ROUNDING)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_is_near(tmp_path: Path, precision: str) -> None:
    file = write_model(tmp_path)
    full = load_generator(file, device="cpu", root=tmp_path)(IMAGE)
    half = load_generator(file, device="cpu", precision=precision, root=tmp_path)(IMAGE)
    assert half.dtype == torch.float32
    assert 0 < float((half - full).abs().max()) < 0.02


def test_what_is_wrong_is_told(tmp_path: Path) -> None:
    file = write_model(tmp_path)
    weights = tmp_path / "experiments" / "tiny" / "models" / "net_g_latest.pth"

    def refused(error: type[Exception], text: str, **arguments: object) -> None:
        with pytest.raises(error, match=text):
            load_generator(**{"model": file, "device": "cpu", "root": tmp_path, **arguments})

    refused(GeneratorError, r"x\.bin: ", model="x.bin")
    refused(GeneratorError, "net_g_latest.pth .*--weights", model=weights, weights=weights)
    refused(GeneratorError, "precision int8: .*tiny: fp32, fp16, bf16", precision="int8")
    refused(OptionError, "device gpu", device="gpu")
    refused(WeightsError, "net_g_latest.pth; ", root=tmp_path / "no")
    refused(WeightsError, "none.pth", weights=tmp_path / "none.pth")
    torch.save({"params": compact_like(SRVGGNetCompact(num_feat=8, num_conv=1), 1)}, tmp_path / "w.pth")
    refused(WeightsError, r"SRVGGNetCompact: .*body\.0\.weight", weights=tmp_path / "w.pth")
    refused(WeightsError, "w.pth .*params_ema", weights=tmp_path / "w.pth", param_key="params_ema")
    torch.save({"x": torch.zeros(3)}, tmp_path / "odd.pth")
    refused(WeightsError, "odd.pth", model=tmp_path / "odd.pth")
    file.write_text("network_g: {type: SRVGGNetCompat, upscale: 4}\n")
    refused(OptionError, r"tiny\.yml:1: network_g\.type: .*did you mean 'SRVGGNetCompact'")
    file.write_text("network_g: {type: HAT, embed_dim: 24}\n")
    refused(OptionError, r"tiny\.yml:1: network_g: HAT: .*ZeroDivisionError: ")
    file.write_text("name: tiny\n")
    refused(OptionError, "network_g: ")
    file.write_text("name: tiny\nnetwork_g: {type: SRVGGNetCompact, num_in_ch: 1, num_feat: 4, num_conv: 1}\n")
    refused(WeightsError, "net_g_latest.pth")


@pytest.mark.skipif(torch.cuda.is_available(), reason="for a machine without CUDA")
def test_no_such_cuda_device() -> None:
    assert find_device("auto").type == "cpu"
    with pytest.raises(OptionError, match="device cuda:3"):
        find_device("cuda:3")
