"""tools/infer.py: exit codes, messages, and several processes."""

from pathlib import Path
from types import ModuleType

from prismsr.tools import infer
from prismsr.tools.inference import command as infer_command
from prismsr.tools.inference import folder
from prismsr.utils.images import read_image

import numpy as np
import pytest
import torch
from generator_cases import write_images, write_model


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setattr(infer_command, "ROOT", tmp_path)
    return infer


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    write_images(tmp_path / "in", "a.png", "b.png", "sub/c.png")
    model = write_model(tmp_path)
    return ["--model", str(model), "-i", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "--device", "cpu"]


def test_done_then_nothing_to_do(tool: ModuleType, command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert tool.main(command) == 0
    assert capsys.readouterr().out.startswith("3 images upscaled in ")
    assert tool.main(command) == 0
    assert ", 3 were done before; in " in capsys.readouterr().out


def test_two_processes_make_the_same_images(
    tool: ModuleType, command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tool.main([*command, "-o", str(tmp_path / "one")]) == 0
    (tmp_path / "in" / "broken.png").write_bytes(b"no image")
    assert tool.main([*command, "--workers", "2"]) == 1
    out, err = capsys.readouterr()
    assert "3 images upscaled" in out.splitlines()[-1]
    assert err.splitlines()[-1].startswith(f"  {tmp_path}/in/broken.png: ")
    for name in ("a.png", "b.png", "sub/c.png"):
        assert np.array_equal(read_image(tmp_path / "one" / name), read_image(tmp_path / "out" / name))
    # a process that fails for another reason than an image's ends the run
    (tmp_path / "out" / "sub" / "c.png").unlink()
    (tmp_path / "out" / "sub" / "c.png").mkdir()
    assert tool.main([*command, "--workers", "2", "--overwrite"]) == 1
    assert "c.png" in capsys.readouterr().err


def test_wrong_commands(tool: ModuleType, command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    def refused(text: str, *more: str) -> None:
        assert tool.main([*command, *more]) == 2
        assert text in capsys.readouterr().err

    refused("tile 8 and overlap 5", "--tile", "8", "--overlap", "5")
    refused("x.bin", "--model", "x.bin")
    refused("nowhere.pth", "--weights", "nowhere.pth")
    if not torch.cuda.is_available():
        refused("--device all", "--device", "all")
    assert tool.main(command) == 0
    refused("scale: 4 then, 2 now", "--scale", "2")


def test_ctrl_c(
    tool: ModuleType, command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(folder, "infer_folder", interrupted)
    assert tool.main(command) == 130
    assert "stopped" in capsys.readouterr().err


def test_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    assert infer_command.split_devices("auto", 1) == []
    assert infer_command.split_devices("cpu", 2) == ["cpu", "cpu"]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert infer_command.split_devices("all", 1) == ["cuda:0", "cuda:1"]
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert infer_command.split_devices("all", 1) == ["cuda:0"]
