"""tools/export.py onnx: what is missing is told; where onnx is installed, the file computes what torch does."""

import importlib.util
from pathlib import Path
from types import ModuleType

from prismsr.tools import export
from prismsr.tools.inference import onnx_export
from prismsr.tools.inference.generator import load_generator
from prismsr.utils.options.entries import find_registered

import numpy as np
import pytest
import torch
import yaml
from generator_cases import write_model
from spandrel_tiny import TINY

INSTALLED = all(importlib.util.find_spec(name) is not None for name in onnx_export.PACKAGES)


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setattr(export, "ROOT", tmp_path)
    return export


def test_missing_packages_are_named(
    tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(onnx_export, "PACKAGES", ("onnx_is_not_here", "torch"))
    command = ["onnx", "--model", str(write_model(tmp_path)), "-o", str(tmp_path / "net.onnx")]
    assert tool.main(command) == 2
    assert "pip install onnx_is_not_here" in capsys.readouterr().err
    assert not (tmp_path / "net.onnx").exists()


def test_half_precision_and_functions_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_export, "PACKAGES", ())
    generator = load_generator(write_model(tmp_path), device="cpu", precision="bf16", root=tmp_path)
    with pytest.raises(onnx_export.ExportError, match=r"tiny .*fp32"):
        onnx_export.export_onnx(generator, tmp_path / "net.onnx")


@pytest.mark.parametrize("dynamic", [False, True])
def test_exported_file_computes_what_torch_does(
    tool: ModuleType, tmp_path: Path, dynamic: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    if not INSTALLED:
        return  # then the message above is all there is
    path = tmp_path / "net.onnx"
    command = ["onnx", "--model", str(write_model(tmp_path)), "-o", str(path), "--size", "12"]
    assert tool.main([*command, *(["--dynamic"] if dynamic else [])]) == 0
    assert "differs from torch by at most" in capsys.readouterr().out
    run, _ = onnx_export._find_runner(path)
    generator = load_generator(tmp_path / "tiny.yml", device="cpu", root=tmp_path)
    image = torch.rand(1, 3, 9, 17) if dynamic else torch.rand(1, 3, 12, 12)
    # in float32: three convolutions whose sums have at most 36 terms below 1, each right to 36 * 2^-24 = 2e-6
    assert torch.allclose(torch.from_numpy(run(image.numpy())), generator(image), rtol=0, atol=1e-5)


def test_a_network_that_folds_its_weights_is_exported(tmp_path: Path) -> None:
    if not INSTALLED:
        return
    network = {"type": "SPAN", **TINY["SPAN"]}
    torch.manual_seed(0)
    torch.save(find_registered("arch", "SPAN")(**TINY["SPAN"]).state_dict(), tmp_path / "net.pth")
    options = {"network_g": network, "path": {"pretrain_network_g": "net.pth"}}
    (tmp_path / "span.yml").write_text(yaml.safe_dump(options), encoding="utf8")
    generator = load_generator(tmp_path / "span.yml", device="cpu", root=tmp_path)
    onnx_export.export_onnx(generator, tmp_path / "net.onnx", size=12)
    image = torch.rand(1, 3, 12, 12)
    run, _ = onnx_export._find_runner(tmp_path / "net.onnx")
    # the file is compared with torch before it is kept; here with the network as another process loads it
    again = load_generator(tmp_path / "span.yml", device="cpu", root=tmp_path)
    assert torch.allclose(torch.from_numpy(run(image.numpy())), again(image), rtol=0, atol=1e-5)


def doubled_twice(image: np.ndarray) -> np.ndarray:
    return image.repeat(4, -1).repeat(4, -2)


def test_a_file_that_computes_something_else_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_export, "PACKAGES", ())
    monkeypatch.setattr(onnx_export, "_export", lambda net, image, path, *more: path.write_bytes(b"graph"))
    monkeypatch.setattr(
        onnx_export, "_find_runner", lambda file: (lambda image: image.repeat(4, -1).repeat(4, -2), "runner 1")
    )
    generator = load_generator(write_model(tmp_path), device="cpu", root=tmp_path)
    with pytest.raises(onnx_export.ExportError, match=r"net\.onnx .*runner 1"):
        onnx_export.export_onnx(generator, tmp_path / "net.onnx", size=8)
    assert not [path for path in tmp_path.iterdir() if "onnx" in path.name]
