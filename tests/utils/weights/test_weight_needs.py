"""What networks, losses and metrics need: the same repositories and files as their loaders ask for."""

import inspect
from urllib.error import URLError

from prismsr.archs.latent.options import SD2_BASE
from prismsr.archs.latent.stable_diffusion import build_unet
from prismsr.archs.lgcaa.dino_condition import build_vit
from prismsr.archs.lgcaa.options import BaseOptions, DinoOptions
from prismsr.utils.weights.files import WeightsError
from prismsr.utils.weights.needs import needs_of
from prismsr.utils.weights.published import read_list

import huggingface_hub
import pytest
import timm
import torch
from basicsr.losses import build_loss
from basicsr.utils.registry import ARCH_REGISTRY, LOSS_REGISTRY, METRIC_REGISTRY

UNET, VAE = f"diffusers:{SD2_BASE}:unet", f"diffusers:{SD2_BASE}:vae"
CLIP = {"pretrained": "c.pt"}
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


def test_needs_of_terms_with_their_own_files():
    """A file that is named takes the place of what would be fetched."""
    losses = {
        "a": {"type": "FeatureLoss", "backbone": "st_vgg16"},
        "b": {"type": "FeatureLoss", "weights": "v.pth"},
        "c": {"type": "IQALoss", "metric": "pyiqa:nima", "metric_options": {"weights": "n.pth"}},
        "d": {"type": "LPIPSLoss"},
        "e": {"type": "IQALoss", "metric_options": {"pretrained": False}},
        "f": None,
        "g": {
            "type": "IQALoss",
            "metric": "sfd_iqa",
            "metric_options": {"feat_d": "x.pth", "clip": {"pretrained": "c.pt"}},
        },
        "h": {"type": "PerceptualLoss", "layer_weights": {}},
    }
    metrics = {
        "s": {"type": "calculate_sfd_iqa", "feat_d": "f.pth", "prompts": "p.pth"},
        "n": {"type": "calculate_nr_iqa", "metric": "natural_scene"},
        "m": {"type": "calculate_nr_iqa"},
    }
    found = needs_of({"train": {"losses": losses}, "val": {"metrics": metrics}, "clip": {"pretrained": None}})
    assert {(need.what, need.where) for need in found} == {
        ("file:v.pth", "train.losses.b.weights"),
        ("file:n.pth", "train.losses.c.metric_options.weights"),
        ("alexnet", "train.losses.d.backbone"),
        ("lpips-linear", "train.losses.d.linear_weights"),
        ("file:x.pth", "train.losses.g.metric_options.feat_d"),
        ("file:c.pt", "train.losses.g.metric_options.clip.pretrained"),
        ("vgg19", "train.losses.h.vgg_type"),
        ("file:f.pth", "val.metrics.s.feat_d"),
        ("file:p.pth", "val.metrics.s.prompts"),
        ("clip:RN50-quickgelu:openai", "val.metrics.s.clip.pretrained"),
        ("metric:musiq", "val.metrics.m.metric"),
    }


def test_sections_of_the_model_and_losses_of_basicsr():
    options = {"model_type": "PrismSRModel", "clip": {"model": "RN50"}, "scoring": {"metric": "pyiqa:nima"}}
    assert needs_of(options) == [("clip:RN50:openai", "clip.pretrained"), ("metric:nima", "scoring.metric")]
    loss = {"type": "PerceptualLoss", "layer_weights": {}, "vgg_type": "vgg16"}
    options = {"model_type": "ESRGANModel", "train": {"perceptual_opt": loss}, "clip": {}}
    assert needs_of(options) == [("vgg16", "train.perceptual_opt.vgg_type")]


@pytest.mark.parametrize(
    "entry",
    [
        {"type": "FeatureLoss", "layer_weights": {"conv1_2": 1}},
        {"type": "FeatureLoss", "layer_weights": {"conv1_2": 1}, "backbone": "st_vgg16"},
        {"type": "AlexNetFeatureLoss"},
        {"type": "LPIPSLoss"},
        {"type": "LPIPSLoss", "backbone": "st_alexnet"},
        {"type": "IQALoss", "metric": "natural_scene"},
    ],
)
def test_a_loss_needs_what_it_cannot_be_built_without(offline, monkeypatch, entry):
    def fail(url, *_, **__):
        raise URLError("no network")

    monkeypatch.setenv("TORCH_HOME", str(offline))
    monkeypatch.setattr(torch.hub, "download_url_to_file", fail)
    needs = needs_of({"model_type": "PrismSRModel", "train": {"losses": {"l": entry}}})
    if not needs:
        build_loss(entry)
        return
    (file,) = (entry for entry in read_list() if entry.serves(needs[0].what))
    with pytest.raises(WeightsError, match=file.path.rpartition("/")[2]):
        build_loss(entry)


def test_each_of_ours_that_may_load_weights_says_so():
    """By the names of arguments that all who load weights have."""
    telling = {"weights", "backbone", "pretrained", "metric", "feat_d"}
    found = []
    for registry in (ARCH_REGISTRY, LOSS_REGISTRY, METRIC_REGISTRY):
        for name, kind in registry:
            if kind.__module__.startswith("prismsr") and telling & set(inspect.signature(kind).parameters):
                assert hasattr(kind, "weights_needed"), name
                found.append(name)
    assert len(found) >= 9
