"""c_f and X_RGB: the map before the zero convolution, and the four readings of "an image from it"."""

from prismsr.archs.latent.stable_diffusion import build_unet
from prismsr.archs.lgcaa.lr_condition import build_controlnet
from prismsr.archs.lgcaa.options import BaseOptions

import pytest
import torch
from lgcaa_tiny import BASE, CONTEXT
from torch.nn import functional as F

WIDTHS = [8, 12, 24]


@pytest.fixture(scope="module")
def controlnet():
    from prismsr.archs.lgcaa.lr_condition import tap_condition

    options = BaseOptions.model_validate(BASE)
    net = build_controlnet(build_unet(options), options)
    names = list(net.state_dict())
    assert tap_condition(net).widths() == WIDTHS
    assert list(net.state_dict()) == names
    return net


def residuals(controlnet, condition):
    generator = torch.Generator().manual_seed(0)
    z_t, context = torch.randn(1, 4, 4, 6, generator=generator), torch.randn(1, 3, CONTEXT, generator=generator)
    down, mid = controlnet(z_t, 5, context, condition, return_dict=False)
    return [*down, mid]


def test_features_are_what_the_zero_convolution_sees(controlnet):
    embedding, image = controlnet.controlnet_cond_embedding, torch.rand(1, 3, 32, 48)
    seen = []
    hook = embedding.conv_out.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    maps = embedding.features(image)
    embedding(image)
    hook.remove()
    assert torch.equal(seen[0], maps[-1])
    assert [tuple(x.shape) for x in maps] == [(1, 8, 16, 24), (1, 12, 8, 12), (1, 24, 4, 6)]
    first = F.silu(embedding.blocks[1](F.silu(embedding.blocks[0](F.silu(embedding.conv_in(image))))))
    assert torch.equal(maps[0], first)


def test_controlnet_takes_features_in_place_of_the_image(controlnet):
    torch.manual_seed(0)
    for parameter in controlnet.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    image = torch.rand(1, 3, 32, 48)
    features = controlnet.controlnet_cond_embedding.features(image)
    for a, b in zip(residuals(controlnet, image), residuals(controlnet, features[-1]), strict=True):
        assert torch.equal(a, b) and a.any()


@pytest.mark.parametrize(
    ("mode", "sizes", "parameters"),
    [
        ("pixelshuffle", [(32, 48)], 24 * 192 * 9 + 192),
        ("down", [(4, 6)], 24 * 3 * 9 + 3),
        ("up", [(32, 48)], 24 * 3 * 9 + 3),
        ("multiscale", [(16, 24), (8, 12), (4, 6)], (8 + 12 + 24) * 27 + 9),
    ],
)
def test_heads(mode, sizes, parameters):
    from prismsr.archs.lgcaa.lr_condition import RGBHead

    head = RGBHead(mode, WIDTHS)
    maps = [torch.rand(2, width, 32 // 2**step, 48 // 2**step) for step, width in enumerate(WIDTHS, 1)]
    images = head(maps)
    assert [tuple(image.shape) for image in images] == [(2, 3, *size) for size in sizes]
    assert sum(p.numel() for p in head.parameters()) == parameters
    x = head.convs[-1](maps[-1])
    if mode == "pixelshuffle":  # pixel (8 y + i, 8 x + j) of channel c is channel 64 c + 8 i + j at (y, x)
        torch.testing.assert_close(images[0][:, 2, 8 * 3 + 1, 8 * 2 + 5], x[:, 2 * 64 + 8 + 5, 3, 2])
    elif mode == "up":
        torch.testing.assert_close(images[0], F.interpolate(x, size=(32, 48), mode="bilinear", align_corners=False))
    else:
        torch.testing.assert_close(images[-1], x)
