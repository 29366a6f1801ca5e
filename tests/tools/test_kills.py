"""infer, evaluate, report and reproduce killed before each step on the disk: the same command ends as ever."""

import json
import shutil
from functools import partial
from pathlib import Path

from prismsr.tools import evaluate, infer, report
from prismsr.tools.inference import command as infer_command
from prismsr.tools.reproduction import command as reproduce
from prismsr.utils.command_line import command

import cv2
import pytest
from generator_cases import write_images, write_model
from kills import kill_at_each_step, run_killed
from report_case import metric, write_evaluation

SETS = "datasets/testsets/Set5"
NAMES = ("baby", "bird", "butterfly", "head", "woman")


def _infer() -> int:
    infer_command.ROOT = Path.cwd()
    return infer.main(["--model", "tiny.yml", "-i", "in", "-o", "out", "--device", "cpu"])


def _evaluate() -> int:
    line = ["--sr", "in", "--gt", "in", "-o", "out", "--metrics", "psnr", "ssim", "--workers", "1", "--device", "cpu"]
    return evaluate.main(line)


def _report() -> int:
    return report.main(["results", "-o", "out/page.html"])


def _reproduce() -> int:
    line = ["ssl-1", "--sets", "Set5", "--rows", "ESRGAN", "--run", "--results", "out", "--device", "cpu"]
    run = partial(reproduce.run, root=Path.cwd())
    return command("reproduce.py", "", reproduce.add_arguments, run, [*line, "--workers", "1"])


@pytest.fixture
def start(tmp_path, monkeypatch):
    """A folder with the inputs of all four."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    folder = tmp_path / "start"
    folder.mkdir()
    write_model(folder)
    write_images(folder / "in", "a.png", "sub/b.png")
    write_images(folder / SETS / "GT", *(f"{name}.png" for name in NAMES), side=80)
    (folder / SETS / "LRbicx4").mkdir()
    for name in NAMES:
        image = cv2.imread(str(folder / SETS / "GT" / f"{name}.png"))
        cv2.imwrite(str(folder / SETS / "LRbicx4" / f"{name}.png"), image[::4, ::4])
    for kind in ("options/ssl/esrgan_x4.yml", "experiments/esrgan_x4/models/net_g_latest.pth"):
        (folder / kind).parent.mkdir(parents=True)
    (folder / "options/ssl/esrgan_x4.yml").write_text((folder / "tiny.yml").read_text().replace("tiny", "esrgan_x4"))
    model = "models/net_g_latest.pth"
    shutil.copy(folder / "experiments/tiny" / model, folder / "experiments/esrgan_x4" / model)
    write_evaluation(folder, "a", {"PSNR": metric("PSNR", 30.5)})
    return folder


def _content(folder):
    """The results of a run by name; times of day, and the order of rows as they were made, do not count."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.name.endswith((".partial", ".lock")):
            name, data = str(path.relative_to(folder)), path.read_bytes()
            if path.name == ".infer.json":
                data = json.loads(data)["settings"]
            elif path.name == "made_scores.csv":
                data = sorted(line.split(b",")[-1] for line in data.splitlines())
            else:
                data = data.replace(str(folder.parent).encode(), b"")
            found[name] = data
    return found


@pytest.mark.parametrize("main", [_infer, _evaluate, _report, _reproduce])
def test_the_same_command_ends_as_if_nothing_had_been(start, tmp_path, main, monkeypatch):
    monkeypatch.setattr(infer_command, "ROOT", infer_command.ROOT)  # _infer sets it
    monkeypatch.chdir(shutil.copytree(start, tmp_path / "warm"))
    assert main() == 0  # imports for all forks what a command imports late, which takes longer than its work
    shutil.copytree(start, whole := tmp_path / "whole")
    assert run_killed(main, whole) == 0
    expected = _content(whole / "out")
    for number, cut in kill_at_each_step(start, tmp_path, partial(run_killed, main), at_least=3):
        assert run_killed(main, cut) == 0, f"killed before step {number}"
        assert _content(cut / "out") == expected, f"killed before step {number}"
