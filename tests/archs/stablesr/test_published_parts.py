"""StableSR's parts with weights filled by published names, against the release's own outputs, and all names."""

from prismsr.archs.stablesr.cfw import FeatureWrapping
from prismsr.archs.stablesr.encoder import TimeAwareEncoder
from prismsr.archs.stablesr.modulation import SFT, find_blocks, inject
from prismsr.archs.stablesr.options import StructOptions
from prismsr.archs.stablesr.published import CFW, ENCODER, UNET, convert_trained, convert_wrapping
from prismsr.utils.weights.files import WeightsError

import pytest
import stablesr_names as names
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint, convert_ldm_vae_checkpoint
from published_fill import assert_row, fill, wave

STRUCT = StructOptions(channels=32, mult=[1, 1, 2], res_blocks=1)
TINY_UNET = names.unet(32, [1, 2, 2], 1, 2, 24, 32)
TINY_ENCODER = names.encoder(32, [1, 1, 2], 1)


def prefixed(prefix, state):
    return {prefix + name: value for name, value in state.items()}


def make_unet(**config):
    kinds = ("CrossAttnDownBlock2D",) * (len(config["block_out_channels"]) - 1) + ("DownBlock2D",)
    ups = tuple(kind.replace("Down", "Up") for kind in reversed(kinds))
    return UNet2DConditionModel(use_linear_projection=True, down_block_types=kinds, up_block_types=ups, **config)


def make_vae(**config):
    levels = len(config["block_out_channels"])
    down, up = ["DownEncoderBlock2D"] * levels, ["UpDecoderBlock2D"] * levels
    return AutoencoderKL(down_block_types=down, up_block_types=up, latent_channels=4, **config)


def load_all(unet, encoder, published):
    """Load a whole checkpoint: what is frozen by diffusers' own map, what is trained by ours."""
    plain = {name: value for name, value in published.items() if ".spade." not in name}
    state = convert_ldm_unet_checkpoint(plain, unet.config)
    trained = convert_trained(published)
    state |= {name.removeprefix("unet."): x for name, x in trained.items() if name.startswith("unet.")}
    unet.load_state_dict(state, assign=True)
    encoder.load_state_dict(
        {name.removeprefix("encoder."): x for name, x in trained.items() if name.startswith("encoder.")}, assign=True
    )


@pytest.fixture(scope="module")
def tiny():
    """UNet, encoder and what hands the maps over."""
    widths, heads = (32, 64, 64), (2, 4, 4)
    unet = make_unet(block_out_channels=widths, layers_per_block=1, attention_head_dim=heads, cross_attention_dim=24)
    encoder, maps = TimeAwareEncoder(STRUCT), inject(unet, 32, "released")
    load_all(unet, encoder, {**prefixed(UNET, fill(TINY_UNET)), **prefixed(ENCODER, fill(TINY_ENCODER))})
    return unet, encoder, maps


@torch.no_grad()
def test_encoder_and_unet_give_what_the_release_gives(tiny):
    unet, encoder, maps = tiny
    assert sum(p.numel() for p in unet.parameters()) == 3_271_044
    assert sum(p.numel() for p in encoder.parameters()) == 421_600
    t = torch.tensor([37])
    maps.levels = encoder(wave(1, 4, 16, 16, k=0.11), t)
    rows = (
        (-0.016336, 0.976467, (-1.867434, -2.456685, -2.585677), -0.826320, 0.000986),
        (-0.037607, 1.247523, (-0.621489, -0.170699, 0.425298), -2.254464, 0.003008),
        (0.002498, 0.840964, (-0.490101, -0.404612, 0.003530), 0.271212, 0.006256),
    )
    for found, row, side in zip(maps.levels, rows, (16, 8, 4), strict=True):
        assert found.shape == (1, 32, side, side)
        assert_row(found, *row)
    eps = unet(wave(1, 4, 16, 16, k=0.3), t, wave(1, 7, 24, k=0.21)).sample
    assert_row(eps, -0.058487, 0.969224, (-1.007079, -2.548041, -4.463349), -0.101127, -0.001698)


@torch.no_grad()
def test_feature_wrapping_gives_what_the_release_gives():
    vae = make_vae(block_out_channels=(32, 64, 64, 64), layers_per_block=1).eval()
    published = fill(names.autoencoder(32, [1, 2, 2, 2], 1))
    plain = {name: value for name, value in published.items() if not name.startswith(CFW)}
    vae.load_state_dict(convert_ldm_vae_checkpoint(prefixed("first_stage_model.", plain), vae.config))
    cfw = FeatureWrapping(vae)
    cfw.load_state_dict(convert_wrapping(published))
    image, z = wave(1, 3, 64, 64, k=0.3), wave(1, 4, 8, 8, k=0.17)
    rows = {
        0: (-0.052626, 0.881474, (-0.001586, -0.007200, -0.007212), -0.106910, 0.003947),
        0.5: (-0.031148, 0.987913, (-0.004103, -0.012024, -0.012085), -0.110121, 0.001903),
        1: (-0.036957, 0.994581, (-0.002690, -0.009808, -0.009743), -0.110009, -0.002753),
    }
    for weight, row in rows.items():
        with cfw.wrap(vae, weight):
            vae.encode(image)
            decoded = vae.decode(z).sample
        assert_row(decoded, *row)
        assert weight or torch.equal(decoded, vae.decode(z).sample)


def test_zero_start_changes_nothing_and_learns_all_the_same():
    torch.manual_seed(0)
    layer, h, f = SFT(32, 8, 8, "zero"), torch.randn(2, 32, 4, 4), torch.randn(2, 8, 4, 4)
    assert torch.equal(layer(h, f), h)
    layer(h, f).square().mean().backward()
    assert layer.scale.grad.any() and all(p.grad is not None for p in layer.parameters())
    assert not torch.equal(SFT(32, 8, 8, "released")(h, f), h)


def test_full_size_has_the_published_tensors():
    """Both ways: each published tensor has a place of its shape, and no place is left over."""
    with torch.device("meta"):
        widths, heads = (320, 640, 1280, 1280), (5, 10, 20, 20)
        unet = make_unet(block_out_channels=widths, attention_head_dim=heads, cross_attention_dim=1024)
        plain = len(unet.state_dict())
        encoder = TimeAwareEncoder(StructOptions())
        inject(unet, 256, "released")
        published = {
            **prefixed(UNET, names.unet(320, [1, 2, 4, 4], 2, 3, 1024, 256)),
            **prefixed(ENCODER, names.encoder(256, [1, 1, 2, 2], 2)),
        }
        tensors = {name: torch.empty(shape) for name, shape in published.items()}
        load_all(unet, encoder, tensors)
    assert plain == 686 and len(list(find_blocks(unet))) == 22
    modulation = [x for name, x in tensors.items() if ".spade." in name]
    assert (len(modulation), sum(x.numel() for x in modulation)) == (176, 53_020_160)
    assert sum(name.startswith(ENCODER) for name in published) == 200
    assert sum(p.numel() for p in unet.parameters()) == 918_930_884
    assert sum(p.numel() for p in encoder.parameters()) == 52_494_080


def test_full_size_wrapping_has_the_published_tensors():
    with torch.device("meta"):
        cfw = FeatureWrapping(make_vae(block_out_channels=(128, 256, 512, 512), layers_per_block=2))
        shapes = names.autoencoder(128, [1, 2, 4, 4], 2)
        state = convert_wrapping({name: torch.empty(shape) for name, shape in shapes.items()})
        cfw.load_state_dict(state, assign=True)
    assert sum(p.numel() for p in cfw.parameters()) == 44_393_728


def test_a_whole_checkpoint_keeps_what_is_trained_alone():
    published = {**prefixed(UNET, fill(TINY_UNET)), **prefixed(ENCODER, fill(TINY_ENCODER))}
    others = (
        "betas",
        "sqrt_alphas_cumprod",
        "first_stage_model.encoder.conv_in.weight",
        "cond_stage_model.model.logit_scale",
    )
    found = convert_trained({**published, **{name: torch.zeros(1) for name in others}})
    assert {name.split(".")[0] for name in found} == {"unet", "encoder"}
    assert all(".spade." in name for name in found if name.startswith("unet."))
    for odd in ("structcond_stage_model.input_blocks.1.0.odd.weight", "odd.weight"):
        with pytest.raises(WeightsError, match=r"odd\.weight"):
            convert_trained({**published, odd: torch.zeros(1)})
    with pytest.raises(WeightsError, match="no checkpoint of StableSR"):
        convert_trained({"odd.weight": torch.zeros(1)})
    with pytest.raises(WeightsError, match=r"odd\.weight"):
        convert_wrapping({"odd.weight": torch.zeros(1)})
