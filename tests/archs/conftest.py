"""A tiny CLIP and one with RN50's architecture, both real open_clip models with random weights."""

from prismsr.archs.clip.build import build_clip
from prismsr.archs.clip.clip_arch import Clip

import huggingface_hub
import pytest
import torch

TINY = {
    "embed_dim": 24,
    "vision_cfg": {"layers": [1, 2, 1, 1], "width": 8},
    "text_cfg": {"width": 16, "heads": 2, "layers": 2},
}


@pytest.fixture(scope="session")
def tiny_config():
    return TINY


@pytest.fixture(scope="session")
def tiny_net():
    """open_clip's own model; weights are those of `clip`."""
    return build_clip(None, config=TINY)


@pytest.fixture
def clip():
    return Clip(None, config=TINY)


@pytest.fixture(scope="session")
def rn50():
    return Clip(None)


@pytest.fixture
def images(photograph_tensor):
    """Three crops of a photograph, (3, 3, 64, 96)."""
    return torch.cat([photograph_tensor[:, :, top : top + 64, 100:196] for top in (40, 100, 160)])


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """An empty cache of the hub, on a machine without a network."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    return tmp_path
