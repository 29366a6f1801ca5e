"""What an LGCAANet needs: the same repositories and files as its loaders ask for."""

from prismsr.archs.lgcaa.dino_condition import build_vit
from prismsr.archs.lgcaa.options import SD2_BASE, BaseOptions, DinoOptions
from prismsr.archs.lgcaa.stable_diffusion import build_unet
from prismsr.utils.weights.files import WeightsError
from prismsr.utils.weights.needs import needs_of
from prismsr.utils.weights.published import read_list

import huggingface_hub
import pytest
import timm

UNET, VAE = f"diffusers:{SD2_BASE}:unet", f"diffusers:{SD2_BASE}:vae"
DINO = "timm:vit_base_patch16_224.dino"


@pytest.fixture
def offline(tmp_path, monkeypatch):
    """A machine without a network, whose cache of the hub is empty, in an empty folder."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("sections", "expected"),
    [
        ({}, [UNET, VAE, DINO]),
        ({"base": None, "dino": {"size": 448}}, [UNET, VAE, DINO]),
        ({"base": {"path": None}}, [DINO]),
        ({"base": {"path": "./sd2"}, "dino": {"pretrained": False}}, []),
        ({"base": {"path": "a/sd2"}}, ["diffusers:a/sd2:unet", "diffusers:a/sd2:vae", DINO]),
        ({"base": {"vae_path": "a/vae"}}, [UNET, "diffusers:a/vae:vae", DINO]),
        ({"base": {"controlnet_path": "a/c"}}, [UNET, VAE, "diffusers:a/c:controlnet", DINO]),
        ({"dino": {"model": "vit_small_patch16_224.dino"}}, [UNET, VAE, "timm:vit_small_patch16_224.dino"]),
        ({"dino": {"weights": "dino.pth"}}, [UNET, VAE, "file:dino.pth"]),
        ({"dino": {"config": {"depth": 2}}}, [UNET, VAE]),
    ],
)
def test_what_the_sections_say(offline, sections, expected):
    found = needs_of({"network_g": {"type": "LGCAANet", **sections}})
    assert [need.what for need in found] == expected
    assert needs_of({"network_g": {"type": "RRDBNet", **sections}}) == []


def test_the_key_of_each_need():
    base = {"vae_path": "a/vae", "controlnet_path": "b/c"}
    assert [need.where for need in needs_of({"network_g": {"type": "LGCAANet", "base": base}})] == [
        "network_g.base.path",
        "network_g.base.vae_path",
        "network_g.base.controlnet_path",
        "network_g.dino.model",
    ]


def test_a_revision_is_that_of_path_alone():
    """Another revision than the list's is another file: it is told as unknown, never as there."""
    base = {"path": "a/sd2", "revision": "0123", "vae_path": "a/vae", "controlnet_path": "a/sd2"}
    found = [need.what for need in needs_of({"network_g": {"type": "LGCAANet", "base": base}})]
    assert found[:3] == ["diffusers:a/sd2@0123:unet", "diffusers:a/vae:vae", "diffusers:a/sd2:controlnet"]
    pinned = needs_of({"network_g": {"type": "LGCAANet", "base": {"revision": "main"}}})[0].what
    assert not any(entry.serves(pinned) for entry in read_list())


@pytest.mark.parametrize("path", ["a/sd2", "sd2", "a/b/sd2", "./sd2", "../sd2", "~/sd2", "/a", "folder/sd2"])
def test_repositories_are_those_that_the_loader_takes_for_one(offline, path):
    (offline / "folder" / "sd2").mkdir(parents=True)
    needed = bool(needs_of({"network_g": {"type": "LGCAANet", "base": {"path": path}, "dino": {"pretrained": False}}}))
    with pytest.raises(WeightsError) as error:
        build_unet(BaseOptions(path=path))
    assert needed == ("run: hf download" in str(error.value))


def test_files_of_the_list_are_those_that_the_loaders_name(offline):
    def files(what):
        return [entry.path.removeprefix("hf:") for entry in read_list() if entry.serves(what)]

    names = ("config.json", "diffusion_pytorch_model.safetensors")
    for what, part in ((UNET, "unet"), (VAE, "vae")):
        assert files(what) == [f"{SD2_BASE}/{part}/{name}" for name in names]
    model = DinoOptions().model
    assert files(f"timm:{model}") == [f"{timm.get_pretrained_cfg(model).hf_hub_id}/model.safetensors"]
    with pytest.raises(WeightsError, match=f"hf download timm/{model} model.safetensors"):
        build_vit(DinoOptions())
