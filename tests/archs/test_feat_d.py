from prismsr.archs.feat_d_arch import FeatD

import pytest
import torch
from basicsr.archs import build_network
from torch.nn import functional as F

TINY = (8, 12, 16)


def _count(**options):
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in FeatD(**options).parameters())


def _maps(height, width, channels=TINY, batch=2):
    """Random maps of the sizes that CLIP gives for an image: every level floors."""
    sizes = [(height // 4 // 2**level, width // 4 // 2**level) for level in range(3)]
    return tuple(torch.randn(batch, count, *size) for count, size in zip(channels, sizes, strict=True))


def test_numbers_of_parameters():
    assert _count(laterals=False) == 6_489_217
    assert _count() == 6_489_217 + 256**2 + 512**2 + 1024**2 == 7_865_473


@pytest.mark.parametrize("fusion", ["add", "concat"])
@pytest.mark.parametrize("size", [(128, 128), (192, 192), (256, 320), (130, 200), (500, 500), (288, 288)])
def test_logits_at_every_second_pixel(size, fusion):
    logits = FeatD(TINY, 6, fusion)(_maps(*size))
    assert logits.shape == (2, 1, size[0] // 4 * 2, size[1] // 4 * 2)


@pytest.mark.parametrize(("stride", "expected"), [(1, (128, 200)), (2, (64, 100)), (4, (32, 50))])
def test_output_strides(stride, expected):
    assert FeatD(TINY, 6, output_stride=stride)(_maps(130, 200)).shape[2:] == expected


def _axis(inputs, outputs):
    """Matrix (outputs, inputs) of linear interpolation between sample centres, clamped at the ends."""
    matrix = torch.zeros(outputs, inputs)
    for place in range(outputs):
        source = min(max((place + 0.5) * inputs / outputs - 0.5, 0.0), inputs - 1.0)
        low = int(source)
        high = min(low + 1, inputs - 1)
        matrix[place, low] += 1 - (source - low)
        matrix[place, high] += source - low
    return matrix


def _resize(x, height, width):
    return torch.einsum("oh,bchw,pw->bcop", _axis(x.shape[2], height), x, _axis(x.shape[3], width))


def _convolve(x, state, name, kernel=3):
    """Convolution as a product of matrices; the weight is divided by its spectral norm as the state dict has it."""
    if f"{name}.weight" in state:
        weight, bias = state[f"{name}.weight"], state[f"{name}.bias"]
    else:
        weight, bias = state[f"{name}.weight_orig"], torch.zeros(1)
        weight = weight / (state[f"{name}.weight_u"] @ weight.flatten(1) @ state[f"{name}.weight_v"])
    columns = F.unfold(x, kernel, padding=kernel // 2)
    return (weight.flatten(1) @ columns).view(len(x), -1, *x.shape[2:]) + bias.view(1, -1, 1, 1)


def _leaky(x):
    return torch.where(x > 0, x, 0.2 * x)


def _reference(state, maps, fusion, doublings, laterals):
    if laterals:
        maps = [_convolve(level, state, f"laterals.{index}", 1) for index, level in enumerate(maps)]
    fine, middle, x = maps
    for name, skip in (("up1", middle), ("up2", fine)):
        x = _leaky(_convolve(_resize(x, *skip.shape[2:]), state, name))
        x = x + skip if fusion == "add" else torch.cat([x, skip], 1)
    height, width = x.shape[2:]
    x = _leaky(_convolve(_resize(x, height * 2, width * 2) if doublings else x, state, "up3"))
    if doublings == 2:
        x = _leaky(_convolve(_resize(x, height * 4, width * 4), state, "up4"))
    for name in ("refine1", "refine2"):
        x = _leaky(_convolve(x, state, name))
    return _convolve(x, state, "last")


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("fusion", ["add", "concat"])
@pytest.mark.parametrize(("stride", "doublings"), [(4, 0), (2, 1), (1, 2)])
@pytest.mark.parametrize("laterals", [True, False])
def test_equals_a_slow_reference(fusion, stride, doublings, laterals):
    torch.manual_seed(0)
    net = FeatD(TINY, 6, fusion, stride, laterals)
    maps = _maps(130, 104)
    for _ in range(5):  # power iterations: the spectral norms start from noise
        net(maps)
    net.eval()
    expected = _reference(net.state_dict(), maps, fusion, doublings, laterals)
    assert expected.std() > 0.005
    torch.testing.assert_close(net(maps), expected)


def test_all_but_the_last_convolution_have_a_spectral_norm_of_one():
    net = FeatD(TINY, 6, output_stride=1)
    maps = _maps(64, 64)
    for _ in range(60):
        net(maps)
    net.eval()(maps)
    convolutions = {name: module for name, module in net.named_modules() if isinstance(module, torch.nn.Conv2d)}
    assert len(convolutions) == 10
    norms = {name: torch.linalg.matrix_norm(conv.weight.flatten(1), 2).item() for name, conv in convolutions.items()}
    last = norms.pop("last")
    assert all(abs(norm - 1) < 0.05 for norm in norms.values()), norms
    assert abs(last - 1) > 0.05
    assert [name for name, conv in convolutions.items() if conv.bias is not None] == ["last"]


def test_takes_clip_s_features_and_keeps_clip_out_of_its_state(clip, images):
    net = build_network({"type": "FeatD", "channels": list(clip.image.channels), "num_feat": 8})
    features = clip.image(images)
    logits = net.eval()(features)
    assert logits.shape == (3, 1, 32, 48)
    assert torch.equal(logits, net(features.middle))
    assert {name.split(".")[0] for name in net.state_dict()} == {
        *("laterals", "up1", "up2", "up3", "refine1", "refine2", "last")
    }


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="output_stride 8 "):
        FeatD(TINY, output_stride=8)
