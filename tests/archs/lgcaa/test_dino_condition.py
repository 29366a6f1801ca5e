"""The image encoder: tokens of any size, frozen, its own weights from where the options say."""

from prismsr.archs.lgcaa.dino_condition import DinoEncoder, TokenProjection, build_vit
from prismsr.archs.lgcaa.options import DinoOptions
from prismsr.utils.errors import OptionError
from prismsr.utils.weights.files import WeightsError

import pytest
import torch
from lgcaa_tiny import DINO
from torch.nn import functional as F

MODEL = "vit_tiny_patch16_224.augreg_in21k_ft_in1k"


def encoder(**given):
    return DinoEncoder(DinoOptions.model_validate({**DINO, **given}))


def normalised(images):
    mean, std = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]]).view(2, 3, 1, 1)  # ImageNet's
    return (images - mean) / std


@pytest.mark.parametrize(("size", "tokens"), [(32, 17), (48, 37), ("native", 13)])
def test_tokens_of_all_sizes(size, tokens):
    net = encoder(size=size)
    lr = torch.rand(2, 3, 21, 29)
    assert net(lr).shape == (2, tokens, 24) == (2, tokens, net.width)
    prepared = net.prepare(lr)
    if size == "native":
        torch.testing.assert_close(prepared, normalised(F.pad(lr, (0, 3, 0, 3), mode="reflect")))
    else:
        small = F.interpolate(lr, (size, size), mode="bicubic", antialias=True).clamp(0, 1)
        torch.testing.assert_close(prepared, normalised(small))
    assert net(torch.rand(1, 3, 2, 2)).isfinite().all()


def test_tokens_are_those_after_the_last_norm():
    net = encoder()
    vit, lr = net.vit, torch.rand(1, 3, 32, 32)
    x = vit.patch_embed(normalised(lr)).flatten(1, 2)
    x = torch.cat([vit.cls_token, x], 1) + vit.pos_embed
    for block in vit.blocks:
        x = block(x)
    torch.testing.assert_close(net(lr), vit.norm(x))


def test_it_is_frozen():
    net = encoder().train()
    assert not any(module.training for module in net.modules())
    assert not any(parameter.requires_grad for parameter in net.parameters())
    lr = torch.rand(1, 3, 16, 16, requires_grad=True)
    assert not net(lr).requires_grad


def test_named_model_with_a_local_file(tmp_path):
    options = DinoOptions(model=MODEL, pretrained=False, seed=4)
    state = build_vit(options).state_dict()
    torch.save({**state, "head.weight": torch.zeros(2, 192)}, tmp_path / "vit.pth")
    loaded = build_vit(DinoOptions(model=MODEL, weights=str(tmp_path / "vit.pth")))
    assert all(torch.equal(value, state[name]) for name, value in loaded.state_dict().items())
    torch.save({**state, "norm.weight": torch.zeros(3)}, tmp_path / "vit.pth")
    with pytest.raises(WeightsError, match=r"vit\.pth.*norm\.weight"):
        build_vit(DinoOptions(model=MODEL, weights=str(tmp_path / "vit.pth")))


def test_missing_weights_say_what_to_fetch(hub):
    with pytest.raises(WeightsError, match=rf"hf download timm/{MODEL} model\.safetensors.*dino\.weights"):
        build_vit(DinoOptions(model=MODEL))
    with pytest.raises(OptionError, match=r"known: vit_base_patch16_224\.dino"):
        build_vit(DinoOptions(model="vit_base_patch16_224.dyno"))


def test_projection_can_start_at_zero():
    assert not TokenProjection(24, 48, zero=True)(torch.rand(1, 3, 24)).any()
    assert TokenProjection(24, 48)(torch.rand(1, 3, 24)).shape == (1, 3, 48)
