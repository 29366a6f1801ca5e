"""NAFNet against a second implementation in plain loops, and the facts of its release."""

import math

from prismsr.archs.nafnet_arch import NAFBlock, NAFNet, local_mean
from prismsr.utils.options.check import check_options

import pytest
import torch
from basicsr.archs import build_network
from torch.nn import functional as F

TINY = {"width": 4, "enc_blk_nums": [1, 2], "middle_blk_num": 1, "dec_blk_nums": [2, 1]}


def _awake(net):
    """The network with random weights everywhere: as built, beta and gamma leave the blocks without effect."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.3)
    return net


# ------------------------------------------------------------------------------------------------- the reference


def _norm(x, weight, bias):
    result = torch.empty_like(x)
    for sample in range(len(x)):
        for row in range(x.shape[2]):
            for column in range(x.shape[3]):
                pixel = x[sample, :, row, column]
                mean = sum(pixel.tolist()) / len(pixel)
                variance = sum((value - mean) ** 2 for value in pixel.tolist()) / len(pixel)
                result[sample, :, row, column] = (pixel - mean) / math.sqrt(variance + 1e-6) * weight + bias
    return result


def _window(position, length, size):
    """Start and end of the window around a position, shifted into the image."""
    size = min(size, length)
    start = min(max(position - (size - 1) // 2, 0), length - size)
    return slice(start, start + size)


def _means(x, size):
    height, width = x.shape[-2:]
    result = torch.empty_like(x)
    for row in range(height):
        for column in range(width):
            part = x[:, :, _window(row, height, size), _window(column, width, size)]
            result[:, :, row, column] = part.sum((-2, -1)) / (part.shape[-2] * part.shape[-1])
    return result


def _gate(x):
    half = x.shape[1] // 2
    return x[:, :half] * x[:, half:]


def _block(x, state, name, window):
    def conv(features, key, **options):
        return F.conv2d(features, state[f"{name}.{key}.weight"], state[f"{name}.{key}.bias"], **options)

    def norm(features, key):
        return _norm(features, state[f"{name}.{key}.weight"], state[f"{name}.{key}.bias"])

    mixed = conv(conv(norm(x, "norm1"), "conv1"), "conv2", padding=1, groups=2 * x.shape[1])
    mixed = _gate(mixed)
    x = x + conv(mixed * conv(_means(mixed, window), "sca.1"), "conv3") * state[f"{name}.beta"]
    return x + conv(_gate(conv(norm(x, "norm2"), "conv4")), "conv5") * state[f"{name}.gamma"]


def _shuffle(x):
    result = torch.empty(len(x), x.shape[1] // 4, 2 * x.shape[2], 2 * x.shape[3])
    for channel in range(x.shape[1]):
        result[:, channel // 4, channel % 4 // 2 :: 2, channel % 2 :: 2] = x[:, channel]
    return result


def _network(image, state, options, window=10**6):
    levels = len(options["enc_blk_nums"])
    height, width = (math.ceil(side / 2**levels) * 2**levels for side in image.shape[-2:])
    padded = torch.zeros(*image.shape[:2], height, width)
    padded[:, :, : image.shape[2], : image.shape[3]] = image
    x = F.conv2d(padded, state["intro.weight"], state["intro.bias"], padding=1)
    skips = []
    for level, number in enumerate(options["enc_blk_nums"]):
        for block in range(number):
            x = _block(x, state, f"encoders.{level}.{block}", window // 2**level)
        skips.append(x)
        x = F.conv2d(x, state[f"downs.{level}.weight"], state[f"downs.{level}.bias"], stride=2)
    for block in range(options["middle_blk_num"]):
        x = _block(x, state, f"middle_blks.{block}", window // 2**levels)
    for level, number in enumerate(options["dec_blk_nums"]):
        x = _shuffle(F.conv2d(x, state[f"ups.{level}.0.weight"])) + skips[-1 - level]
        for block in range(number):
            x = _block(x, state, f"decoders.{level}.{block}", window // 2 ** (levels - 1 - level))
    x = padded + F.conv2d(x, state["ending.weight"], state["ending.bias"], padding=1)
    return x[:, :, : image.shape[2], : image.shape[3]]


# ----------------------------------------------------------------------------------------------------- the tests


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize(("height", "width"), [(8, 12), (9, 7), (3, 1)])
@torch.no_grad()
def test_equals_the_reference_at_any_size(photograph_tensor, height, width):
    net = _awake(NAFNet(**TINY))
    image = torch.cat([photograph_tensor[:, :, top : top + height, 150 : 150 + width] for top in (60, 120)]).double()
    output = net(image)
    assert output.shape == image.shape
    torch.testing.assert_close(output, _network(image, net.state_dict(), TINY))


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("window", [8, 10])
@torch.no_grad()
def test_attention_in_a_window_equals_the_reference(photograph_tensor, window):
    net = _awake(NAFNet(**TINY, local_window=window))
    image = photograph_tensor[:, :, 60:75, 150:159].double()
    output = net(image)
    torch.testing.assert_close(output, _network(image, net.state_dict(), TINY, window))
    assert (output - _network(image, net.state_dict(), TINY)).abs().max() > 1e-3  # the window does something


def test_a_window_as_large_as_the_image_is_no_window(photograph_tensor):
    image = photograph_tensor[:, :, 60:76, 150:166]
    whole, local = _awake(NAFNet(**TINY)), _awake(NAFNet(**TINY, local_window=16))
    assert torch.equal(whole(image), local(image))


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("window", [1, 4, 5, 9])
def test_local_mean(window):
    x = torch.rand(2, 3, 6, 9)
    torch.testing.assert_close(local_mean(x, window).expand_as(x), _means(x, window))


def test_local_mean_stays_exact_on_large_images():
    torch.manual_seed(0)
    x = 100 + torch.rand(1, 1, 700, 1300)
    expected = local_mean(x.double(), 384)
    torch.testing.assert_close(local_mean(x, 384).double(), expected, rtol=0, atol=5e-5)  # six units in the last place


def test_a_new_block_passes_its_input_on():
    torch.manual_seed(0)
    x = torch.randn(1, 4, 5, 5)
    assert torch.equal(NAFBlock(4)(x), x)
    assert not torch.equal(_awake(NAFBlock(4))(x), x)


def test_the_network_adds_to_its_input():
    net, image = _awake(NAFNet(**TINY)), torch.rand(1, 3, 7, 10)
    torch.nn.init.zeros_(net.ending.weight)
    torch.nn.init.zeros_(net.ending.bias)
    assert torch.equal(net(image), image)


@pytest.mark.parametrize("window", [None, 2])
def test_gradient(window):
    block = _awake(NAFBlock(2, window)).double()
    x = torch.randn(1, 2, 3, 3, dtype=torch.float64, requires_grad=True)
    parameters = list(block.parameters())
    assert torch.autograd.gradcheck(lambda x, *_: block(x), [x, *parameters])


def _parameters_of_a_block(c):
    norms, residual_scales = 2 * 2 * c, 2 * c
    spatial = (c + 1) * 2 * c + (9 + 1) * 2 * c + (c + 1) * c + (c + 1) * c  # conv1, conv2, sca, conv3
    return norms + residual_scales + spatial + (c + 1) * 2 * c + (c + 1) * c  # conv4, conv5


@pytest.mark.parametrize(("width", "millions"), [(32, 17.1), (64, 67.9)])
def test_parameters_of_the_published_networks(width, millions):
    with torch.device("meta"):
        net = NAFNet(width=width)  # GoPro: 1, 1, 1, 28; 1; 1, 1, 1, 1
    expected = 2 * 27 * width + width + 3  # intro and ending
    for level, blocks in enumerate([1, 1, 1, 28]):
        c = width * 2**level
        expected += (blocks + 1) * _parameters_of_a_block(c)  # encoder and decoder
        expected += (4 * c + 1) * 2 * c + 2 * c * 4 * c  # down and up
    expected += _parameters_of_a_block(16 * width)
    assert sum(parameter.numel() for parameter in net.parameters()) == expected
    assert round(expected / 1e6, 1) == millions


def test_names_of_the_release():
    block = [f"conv{number}.{kind}" for number in range(1, 6) for kind in ("weight", "bias")]
    block += [f"{layer}.{kind}" for layer in ("sca.1", "norm1", "norm2") for kind in ("weight", "bias")]
    block += ["beta", "gamma"]
    blocks = ["encoders.0.0", "encoders.1.0", "encoders.1.1", "middle_blks.0"]
    blocks += ["decoders.0.0", "decoders.0.1", "decoders.1.0"]
    expected = {f"{name}.{key}" for name in blocks for key in block}
    expected |= {f"{name}.{kind}" for name in ("intro", "ending", "downs.0", "downs.1") for kind in ("weight", "bias")}
    expected |= {"ups.0.0.weight", "ups.1.0.weight"}
    shapes = {key: tuple(value.shape) for key, value in NAFNet(**TINY).state_dict().items()}
    assert shapes.keys() == expected
    assert shapes["encoders.1.0.conv2.weight"] == (16, 1, 3, 3)
    assert shapes["middle_blks.0.beta"] == (1, 16, 1, 1)
    assert shapes["ups.0.0.weight"] == (32, 16, 1, 1)


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match="enc_blk_nums"):
        NAFNet(enc_blk_nums=[1, 1], dec_blk_nums=[1])
    with pytest.raises(ValueError, match="local_window"):
        NAFNet(**TINY, local_window=3)


@pytest.mark.parametrize(("scale", "problems"), [(1, []), (4, ["must be 1, the only one that NAFNet has; got 4"])])
def test_is_registered_and_its_scale_checked(scale, problems):
    assert isinstance(build_network({"type": "NAFNet", **TINY}), NAFNet)
    options = {"scale": scale, "network_g": {"type": "NAFNet", **TINY}}
    found = check_options(options, "x.yml", missing_paths="note", is_train=True)
    assert [problem.message for problem in found if problem.key == "scale"] == problems
