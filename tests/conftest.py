"""Fixtures for all rooms: real photographs, random VGG19 weights, quiet torch."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import prismsr  # noqa: F401  (registers everything before any test imports basicsr)

import numpy as np
import pytest
import skimage
import torch
import yaml
from PIL import Image
from trainings import TRAIN, LaunchServer

pytest_plugins = ["option_files"]

signal.signal(
    signal.SIGINT, signal.default_int_handler
)  # a job in the background ignores it, and so would its children
REPOSITORY = Path(__file__).resolve().parents[1]
LONGEST = (
    *("test_prepare_kills.py", "test_kills.py"),  # they fork this process, as long as it is small
    *("test_resume.py", "test_distributed_training.py", "test_lgcaa_model.py", "test_spandrel_networks.py"),
    *("test_ssl_files.py", "test_training.py", "test_adding_a_method.py", "test_prism_sr_model.py"),
    *("test_memory.py", "test_tutorials.py", "test_sfd_iqa.py"),
)
"""Files of more than 20 s, run first: of two processes one would else be left with one of them at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.name, len(places)))


@pytest.fixture(scope="session")
def repository() -> Path:
    return REPOSITORY


@pytest.fixture(scope="session")
def prepare_tool(repository: Path) -> ModuleType:
    """The module tools/prepare.py."""
    from prismsr.tools import prepare

    return prepare


@pytest.fixture(scope="session")
def photograph() -> np.ndarray:
    """The cat `chelsea`, RGB uint8, 300x451."""
    return np.asarray(Image.open(Path(skimage.__file__).parent / "data" / "chelsea.png").convert("RGB"))


@pytest.fixture(scope="session")
def photograph_tensor(photograph: np.ndarray) -> torch.Tensor:
    """The same photograph, (1, 3, 300, 451) in [0, 1]."""
    return torch.from_numpy(photograph.copy()).permute(2, 0, 1).unsqueeze(0).float() / 255


@pytest.fixture(scope="session")
def vgg19_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file in torchvision's layout of VGG19 with random features; the classifier takes no room."""
    from torchvision.models import vgg19

    torch.manual_seed(0)
    with torch.device("meta"):
        shapes = {key: value.shape for key, value in vgg19().state_dict().items()}
    state = {}
    for key, shape in shapes.items():
        if key.startswith("classifier"):
            state[key] = torch.zeros(1).expand(shape)  # an expanded tensor is saved as its one element
        else:
            state[key] = torch.randn(shape) * (2 / (shape[1:].numel() or 1)) ** 0.5
    path = tmp_path_factory.mktemp("torch_home") / "hub" / "checkpoints" / "vgg19-dcbb9e9d.pth"
    path.parent.mkdir(parents=True)
    torch.save(state, path)
    return path


@pytest.fixture
def torch_home(vgg19_weights: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """TORCH_HOME whose cache holds the random VGG19, so that torchvision's own loader finds it offline."""
    home = vgg19_weights.parents[2]
    monkeypatch.setenv("TORCH_HOME", str(home))
    return home


@pytest.fixture
def double() -> Iterator[None]:
    """Networks and tensors are made in float64, so that sums in another order differ by 1e-16 of their terms."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.fixture(scope="session")
def training_workplace(tmp_path_factory, repository, prepare_tool):
    """A repository of its own: our launchers and tools, and data made by the tools from the demo's photographs."""
    root = tmp_path_factory.mktemp("workplace")
    (root / "basicsr").mkdir()
    for script in ("train.py", "test.py"):
        (root / "basicsr" / script).write_text((repository / "basicsr" / script).read_text())

    def prepare(step, source, output, *options):
        inputs = ["-i", str(root / source)] if source else []
        assert prepare_tool.main([step, *inputs, "-o", str(root / output), *options, "--workers", "1"]) == 0

    prepare("photos", None, "photos")
    prepare("subimages", "photos/val/HR", "HR", "--crop", "96", "--step", "400")
    prepare("downsample", "HR", "LR")
    prepare("lmdb", "HR", "HR.lmdb")
    prepare("lmdb", "LR", "LR.lmdb")
    (root / "tiny.yml").write_text(yaml.safe_dump(TRAIN, sort_keys=False))
    return root


@pytest.fixture(scope="session")
def launch_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LaunchServer]:
    """One for all files, since it takes some seconds to import everything."""
    server = LaunchServer(tmp_path_factory.mktemp("launched"))
    yield server
    server.close()


@pytest.fixture(scope="session")
def snapshot() -> Callable[[Any], dict[str, torch.Tensor]]:
    """snapshot(model): every tensor a step may change, by name: networks with buffers, EMA, optimiser states."""

    def take(model: Any) -> dict[str, torch.Tensor]:
        average = {"ema": model.net_g_ema} if model.ema_decay > 0 else {}
        nets = {"g": model.net_g, **average, **model.discriminators}
        found = {
            f"{name}.{key}": value.clone() for name, net in nets.items() for key, value in net.state_dict().items()
        }
        for number, optimizer in enumerate(model.optimizers):
            for index, state in optimizer.state_dict()["state"].items():
                found |= {f"optimizer{number}.{index}.{key}": torch.as_tensor(v).clone() for key, v in state.items()}
        return found

    return take


@pytest.fixture
def stop_reading(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """stop_reading(): nobody reads any more what this process prints."""

    def stop() -> None:
        for name in ("stdout", "stderr"):
            reader, writer = os.pipe()
            os.close(reader)
            monkeypatch.setattr(sys, name, os.fdopen(writer, "w"))

    return stop
