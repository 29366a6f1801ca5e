"""Files that other packages read: none runs code, whatever the package asks of torch.load."""

import json
import os
import threading

from prismsr.archs.latent import stable_diffusion
from prismsr.archs.lgcaa import dino_condition
from prismsr.archs.lgcaa.options import BaseOptions, DinoOptions
from prismsr.models.step.loss_terms import build_terms
from prismsr.utils.weights.files import WeightsError, load_torchvision_weights
from prismsr.utils.weights.tensors_only import tensors_only

import pytest
import torch
from torch import Tensor, nn


class Evil:
    """Makes the folder `hacked` where it is unpickled."""

    def __reduce__(self):
        return os.mkdir, ("hacked",)


@pytest.fixture(autouse=True)
def _watched(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    original = torch.load
    yield
    assert not (tmp_path / "hacked").exists()
    assert torch.load is original


def test_weights_only_false_is_overridden_and_the_refusal_outlives_its_wrapping(tmp_path):
    torch.save(Evil(), "evil.pth")
    with pytest.raises(WeightsError, match=r"evil\.pth was not read"), tensors_only():
        try:
            torch.load("evil.pth", weights_only=False)
        except RuntimeError as error:
            raise OSError("cannot be downloaded") from error
    with pytest.raises(WeightsError, match=r"evil\.pth"), tensors_only(), open("evil.pth", "rb") as file:
        torch.load(file, None, os, weights_only=False)


def test_other_threads_keep_their_reader(tmp_path):
    torch.save({"a": torch.ones(2)}, "plain.pth")
    torch.save(threading.Lock, "lock.pth")
    found = []
    with tensors_only():
        assert torch.load("plain.pth", weights_only=False)["a"].sum() == 2
        thread = threading.Thread(target=lambda: found.append(torch.load("lock.pth", weights_only=False)))
        thread.start()
        thread.join()
    assert found == [threading.Lock]


class _Writer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.Linear(2, 2)))

    def forward(self, x: Tensor) -> Tensor:
        torch.save(x, "hacked")
        return self.layers(x)


def test_programs(tmp_path):
    torch.jit.script(_Writer().layers).save("good.pt")
    torch.jit.script(_Writer()).save("evil.pt")
    with tensors_only():
        assert torch.jit.load("good.pt")(torch.ones(1, 2)).shape == (1, 2)
    with pytest.raises(WeightsError, match=r"evil\.pt"), tensors_only(), open("evil.pt", "rb") as file:
        torch.jit.load(file)


@pytest.mark.parametrize("old", [False, True])
def test_torchvision_from_the_cache(tmp_path, monkeypatch, old):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    (tmp_path / "checkpoints").mkdir()
    evil = tmp_path / "checkpoints" / "vgg19-dcbb9e9d.pth"
    torch.save(Evil(), evil, _use_new_zipfile_serialization=not old)
    with pytest.raises(WeightsError, match=evil.name):
        load_torchvision_weights(f"https://download.pytorch.org/models/{evil.name}", "VGG19")
    with pytest.raises(WeightsError, match=evil.name):
        build_terms({"perceptual": {"type": "PerceptualLoss", "layer_weights": {"conv1_1": 1.0}}})


def test_diffusers_folder(tmp_path):
    (tmp_path / "vae").mkdir()
    (tmp_path / "vae" / "config.json").write_text(json.dumps({"_class_name": "AutoencoderKL"}))
    torch.save(Evil(), tmp_path / "vae" / "diffusion_pytorch_model.bin")
    with pytest.raises(WeightsError, match=r"diffusion_pytorch_model\.bin was not read"):
        stable_diffusion.build_vae(BaseOptions(path=str(tmp_path)))


def test_timm_from_the_cache(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    repository = tmp_path / "models--timm--vit_tiny_patch16_224.augreg_in21k"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("0" * 40)
    (repository / "snapshots" / ("0" * 40)).mkdir(parents=True)
    torch.save(Evil(), repository / "snapshots" / ("0" * 40) / "pytorch_model.bin")
    with pytest.raises(WeightsError, match=r"pytorch_model\.bin was not read"):
        dino_condition.build_vit(DinoOptions(model="vit_tiny_patch16_224.augreg_in21k"))
