"""The module inside diffusers' UNet: nothing changes at the start, names stay, other processors leave it alone."""

import copy
import pickle

from prismsr.archs.latent.stable_diffusion import build_unet
from prismsr.archs.lgcaa.options import BaseOptions, LgcaaOptions

import pytest
import torch
from lgcaa_tiny import BASE, CONTEXT, LATENT


@pytest.fixture(scope="module")
def plain():
    return build_unet(BaseOptions.model_validate(BASE)).eval()


def injected(plain, trained=True, **options):
    from prismsr.archs.lgcaa.injection import inject

    unet = copy.deepcopy(plain)
    unet.places = inject(unet, LgcaaOptions.model_validate(options))
    if trained:
        torch.manual_seed(1)
        for name, parameter in unet.named_parameters():
            if ".lgcaa.mlp.2." in name:
                torch.nn.init.normal_(parameter, std=0.1)
    return unet


def run(unet, size=(LATENT, LATENT), seed=0):
    generator = torch.Generator().manual_seed(seed)
    z_t, context = torch.randn(2, 4, *size, generator=generator), torch.randn(2, 5, CONTEXT, generator=generator)
    return unet(z_t.to(unet.dtype), torch.tensor([7, 600]), context.to(unet.dtype)).sample


MODES = [
    {"mode": "local"},
    {"mode": "global"},
    {"merge_norm": False},
    {},
    {"preset": "paper_literal"},
    {"combine": "stacked"},
    {"local_window": 3},
]


@pytest.mark.parametrize("options", MODES, ids=str)
def test_a_loaded_unet_starts_unchanged_to_the_bit(plain, options):
    unet = injected(plain, trained=False, **options)
    with torch.no_grad():
        assert torch.equal(run(unet), run(plain))
        assert not torch.equal(run(injected(plain, **options)), run(plain))


def test_old_names_stay_and_new_ones_are_the_module_s(plain):
    old, new = plain.state_dict(), injected(plain, trained=False).state_dict()
    assert old.keys() < new.keys()
    assert all(torch.equal(old[key], new[key]) for key in old)
    assert all(".attn1.lgcaa." in key for key in new.keys() - old.keys())


def test_it_is_in_all_self_attentions_and_nowhere_else(plain):
    everywhere = [name for name, _ in plain.named_modules() if name.endswith(".attn1")]
    assert len(everywhere) == 7
    assert sorted(injected(plain).places) == sorted(everywhere)
    assert injected(plain, mode="none").places == []
    assert injected(plain, places=["mid"]).places == ["mid_block.attentions.0.transformer_blocks.0.attn1"]
    assert all(name.startswith(("down_blocks", "up_blocks")) for name in injected(plain, places=["down", "up"]).places)


@torch.no_grad()
def test_stacked_works_on_what_attn1_gives(plain):
    name = "mid_block.attentions.0.transformer_blocks.0.attn1"
    attn = injected(plain, combine="stacked").get_submodule(name)
    x = torch.randn(2, 9, attn.query_dim, generator=torch.Generator().manual_seed(0))
    attended = plain.get_submodule(name)(x)
    torch.testing.assert_close(attn(x), attended + attn.lgcaa(x, attended))


@pytest.mark.parametrize("copied", [True, False])
def test_local_projections_start_as_attn1_s(plain, copied):
    unet = injected(plain) if copied else injected(plain, init_from_attn1=False)
    attn = unet.mid_block.attentions[0].transformer_blocks[0].attn1
    pairs = [(attn.to_q, attn.lgcaa.local.to_q), (attn.to_v, attn.lgcaa.local.to_v)]
    pairs.append((attn.to_out[0], attn.lgcaa.local.to_out))
    for old, new in pairs:
        assert torch.equal(old.weight, new.weight) == copied
        assert old.weight is not new.weight


def test_processors_of_diffusers_leave_the_module_alone(plain):
    from diffusers.models.attention_processor import AttnProcessor, AttnProcessor2_0

    unet = injected(plain).double()
    assert unet.attn_processors.keys() == plain.attn_processors.keys()
    with torch.no_grad():
        before = run(unet)
        for change in (
            unet.set_default_attn_processor,
            lambda: unet.set_attn_processor(AttnProcessor()),
            lambda: unet.set_attn_processor({key: AttnProcessor2_0() for key in unet.attn_processors}),
        ):
            change()
            torch.testing.assert_close(run(unet), before)


def test_scale_weighs_the_module(plain):
    from prismsr.archs.lgcaa.injection import set_lgcaa_scale

    unet = injected(plain)
    with torch.no_grad():
        full = run(unet)
        set_lgcaa_scale(unet, 0.0)
        torch.testing.assert_close(run(unet), run(plain))
        set_lgcaa_scale(unet, 0.5)
        half = run(unet)
    assert not torch.equal(half, full)


@pytest.mark.parametrize("options", [{}, {"local_window": 4}], ids=str)
def test_copies_and_pickles_are_the_same_network(plain, options):
    unet = injected(plain, **options)
    places = unet.__dict__.pop("places")
    assert places
    with torch.no_grad():
        expected = run(unet)
        for other in (copy.deepcopy(unet), pickle.loads(pickle.dumps(unet))):
            torch.testing.assert_close(run(other), expected)
            run(other, size=(4, 12))  # notes its own size of the windows
            torch.testing.assert_close(run(unet), expected)


def test_replace_has_no_attn1_left(plain):
    unet = injected(plain, combine="replace")
    assert not any(".attn1.to_" in name for name, _ in unet.named_parameters())
    with torch.no_grad():
        assert not torch.equal(run(unet), run(plain))


@pytest.mark.parametrize("size", [(7, 5), (9, 16)])
def test_odd_latents(plain, size):
    with torch.no_grad():
        for options in ({}, {"local_window": 4}):
            assert run(injected(plain, **options), size).shape == (2, 4, *size)


def test_saved_and_loaded_after_injection(plain, tmp_path):
    unet, other = injected(plain), injected(plain, trained=False)
    torch.save(unet.state_dict(), tmp_path / "unet.pth")
    other.load_state_dict(torch.load(tmp_path / "unet.pth", weights_only=True), strict=True)
    with torch.no_grad():
        assert torch.equal(run(other), run(unet))
