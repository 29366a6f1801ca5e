"""ResShift's network against what the release's own classes gave, with the weights loaded by its names."""

from prismsr.archs.resshift.options import SwinOptions, UNetOptions, VQOptions
from prismsr.archs.resshift.published_names import rename_unet
from prismsr.archs.resshift.resshift_arch import ResShiftNet
from prismsr.archs.resshift.unet import build_unet
from prismsr.archs.resshift.vq_model import build_diffusers, build_vq, decode_latents, vq_config
from prismsr.utils.weights.files import WeightsError

import pytest
import resshift_case as case
import torch
from published_fill import assert_row, wave


@pytest.fixture(scope="module")
def net():
    return case.make_net()


@torch.no_grad()
@pytest.mark.parametrize(
    ("shape", "t", "row"),
    [
        ((1, 3, 16, 16), 3, (-0.044268, 1.088242, (-1.544900, -1.766036, -1.047777), 0.366067, -0.001968)),
        ((1, 3, 16, 16), 0, (-0.044271, 1.088250, (-1.544430, -1.765394, -1.047203), 0.365948, -0.001972)),
        ((1, 3, 16, 32), 3, (0.026637, 1.140556, (0.059206, 0.423685, 0.926894), 0.477964, -0.005154)),
    ],
)
def test_unet_is_the_releases(net, shape, t, row):
    inputs = torch.cat([wave(*shape, k=0.3), wave(*shape, k=0.11)], 1)
    output = net.unet(inputs, torch.tensor([t]), return_dict=False)[0]
    assert_row(output, *row)


@torch.no_grad()
def test_autoencoder_is_the_releases(net):
    latents = net.encode((wave(1, 3, 32, 32, k=0.3) + 1) / 2)
    assert_row(latents, 0.034844, 0.908482, (1.285554, 2.743976, 3.905159), 0.130831, 0.021070)
    assert net.vae.quantize(latents)[2][2][:8].tolist() == [2, 2, 2, 8, 17, 8, 2, 2]
    image = 2 * net.decode(latents) - 1
    assert_row(image, -0.049980, 1.010660, (0.011911, 0.020090, 0.012398), -0.095345, 0.011663)
    unquantised = 2 * decode_latents(net.vae, latents, quantize=False) - 1
    assert_row(unquantised, 0.000406, 1.238509, (0.037558, 0.077960, 0.150304), -0.097154, -0.005388)


@torch.no_grad()
def test_the_chain_of_means_is_the_releases(net):
    lq = (wave(1, 3, 16, 16, k=0.05) + 1) / 2
    enlarged = torch.nn.functional.interpolate(lq, scale_factor=2, mode="bicubic")
    latents = net.process.begin(net.encode(enlarged), wave(1, 3, 16, 16, k=0.9))
    rows = {
        3: (0.036118, 1.101386, (0.248045, 1.372307, 1.726446), 0.342381, 0.001643),
        2: (0.064476, 0.796227, (0.224487, 0.951756, 1.284581), 0.300229, 0.003958),
        1: (0.160552, 0.886642, (0.252861, 0.662123, 0.947714), 0.180429, 0.014578),
        0: (0.182910, 0.982344, (0.146905, 0.405453, 0.617101), -0.030327, 0.014326),
    }
    for t, row in rows.items():
        clean = net(latents, torch.tensor(t), lq)
        latents = net.process.step_back(latents, clean, t)
        assert_row(latents, *row)
    assert torch.equal(latents, clean)
    image = 2 * net.decode(latents) - 1
    assert_row(image, -0.027168, 0.987032, (0.016198, 0.027372, 0.060848), -0.096571, -0.003147)


def test_full_size_has_the_releases_parameters_and_its_names_one_to_one():
    with torch.device("meta"):
        unet = build_unet(UNetOptions(), SwinOptions(), 3)
        vq = build_diffusers("VQModel", vq_config(VQOptions()), "vq")
    assert sum(p.numel() for p in unet.parameters()) == 118_593_583
    assert sum(p.numel() for p in vq.parameters()) == 55_322_782
    published = list(case.published_unet_names([160, 320, 320, 640], 2, buffers=True))
    assert len(published) == len(set(published)) == 564
    renamed = rename_unet({name: name for name in published})
    assert renamed.keys() == unet.state_dict().keys()
    assert len(set(renamed.values())) == 540
    matched = case.match_vq(VQOptions())
    assert matched.keys() == vq.state_dict().keys()
    assert set(matched.values()) == set(case.published_vq_names([128, 256, 512], 2))


def test_tensors_of_other_networks_are_refused():
    with pytest.raises(WeightsError, match="conv_first"):
        ResShiftNet.convert_published({"conv_first.weight": torch.zeros(1)})
    with pytest.raises(WeightsError):
        ResShiftNet.convert_published({})


def test_the_deepest_level_is_not_shifted():
    with torch.device("meta"):
        unet = build_unet(UNetOptions(), SwinOptions(), 3)
    blocks = [
        (name.split(".resnets")[0], name[-1], block) for name, block in unet.named_modules() if name[-1:].isdigit()
    ]
    shifts = {(level, number): block.shift for level, number, block in blocks if hasattr(block, "shift")}
    assert len(shifts) == 18
    shifted = {*(f"down_blocks.{n}" for n in (0, 1, 2)), *(f"up_blocks.{n}" for n in (1, 2, 3))}
    assert {key for key, shift in shifts.items() if shift == 4} == {(level, "1") for level in shifted}
    assert {key for key, shift in shifts.items() if shift == 0} == shifts.keys() - {(level, "1") for level in shifted}


@torch.no_grad()
def test_small_lr_images_are_enlarged_to_the_latents_and_odd_sides_refused(net):
    latents, t = torch.randn(1, 3, 16, 16), torch.tensor([1])
    small = torch.rand(1, 3, 8, 8)
    large = torch.nn.functional.interpolate(small, (16, 16), mode="bicubic")
    assert torch.equal(net(latents, t, small), net(latents, t, large))
    with pytest.raises(ValueError, match="multiples of 16"):
        net(torch.randn(1, 3, 16, 24), t, small)


def test_gradients_pass_the_codebook_to_the_latents_alone(net):
    latents = torch.randn(1, 3, 16, 16, requires_grad=True)
    net.decode(latents).sum().backward()
    assert latents.grad is not None and latents.grad.abs().max() > 0
    assert all(p.grad is None for p in net.vae.parameters())


@pytest.mark.parametrize("wrapped", ["", "vq.", "module."])
def test_autoencoders_are_read_from_files(tmp_path, wrapped):
    options = VQOptions.model_validate({**case.VQ, "seed": 3})
    vq = build_vq(options)
    path = tmp_path / "vq.pth"
    torch.save({"params": {wrapped + name: value for name, value in vq.state_dict().items()}}, path)
    other = build_vq(options.model_copy(update={"path": str(path), "seed": 0}))
    assert all(torch.equal(value, vq.state_dict()[name]) for name, value in other.state_dict().items())


def test_autoencoders_in_ldms_names_are_read_strictly(tmp_path, net):
    options = VQOptions.model_validate(case.VQ)
    own, state = net.vae.state_dict(), case.published_vq(net.vae, options)
    path = tmp_path / "vq.pth"
    torch.save({"state_dict": {**state, "loss.logvar": torch.zeros(1)}}, path)
    loaded = build_vq(options.model_copy(update={"path": str(path)}))
    assert all(torch.equal(value, own[name]) for name, value in loaded.state_dict().items())
    del state["decoder.mid.attn_1.k.bias"]
    torch.save(state, path)
    with pytest.raises(WeightsError, match="to_k"):
        build_vq(options.model_copy(update={"path": str(path)}))
