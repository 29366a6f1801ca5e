"""tools/check_options.py: files and folders, fragments, notes, and the exit code."""

from pathlib import Path
from types import ModuleType

from prismsr.tools import check_options

import pytest

GOOD = """
name: good
model_type: PrismSRModel
scale: 4
num_gpu: auto
datasets:
  train: {name: x, type: PairedImageMaskDataset, dataroot_gt: datasets/none, dataroot_lq: datasets/none, gt_size: 32,
          use_hflip: true, use_rot: true, batch_size_per_gpu: 2, num_worker_per_gpu: 0}
network_g: {type: SRVGGNetCompact, upscale: 4}
train:
  total_iter: 4
  optim_g: {type: Adam, lr: 1e-3}
  scheduler: {type: MultiStepLR, milestones: [2]}
  losses: {l_pix: {type: L1Loss}}
logger: {print_freq: 1, save_checkpoint_freq: 2, use_tb_logger: false}
"""


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    return check_options


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("_base_", "ssl"):
        (tmp_path / name).mkdir()
    (tmp_path / "_base_" / "part.yml").write_text("scale: 4\n")
    (tmp_path / "ssl" / "good.yml").write_text(GOOD)
    (tmp_path / "readme.txt").write_text("no option file")
    return tmp_path


def test_missing_data_are_notes_and_fragments_only_parsed(
    tool: ModuleType, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tool.main(["."]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "note: _base_/part.yml: a fragment: parsed only"
    assert lines[1].startswith("note: ssl/good.yml:7: datasets.train.dataroot_gt: no such file or folder")
    assert lines[-1] == "2 files, 0 errors, 3 notes"


def test_all_problems_of_all_files(tool: ModuleType, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "ssl" / "worse.yml").write_text("_base_: good.yml\nscale: x4\ntrain: {total_iter: -1}\n")
    (folder / "_base_" / "part.yml").write_text("scale: 4\nscale: 2\n")
    test_file = "_base_: ssl/good.yml\ntrain: ~\ndatasets: {train: ~, test_1: {name: x}}\nval: {save_img: 1}\n"
    (folder / "test.yml").write_text(test_file)
    assert tool.main(["ssl/worse.yml", ".", "nowhere.yml"]) == 1
    lines = capsys.readouterr().out.splitlines()
    errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    expected = [
        "ssl/worse.yml:2: scale: must be a whole number greater than 0 or null; got the text 'x4'",
        "ssl/worse.yml:3: train.total_iter: must be a whole number greater than 0; got -1",
        "_base_/part.yml:2: the key scale is already there (_base_/part.yml:1); keep one of the two.",
        "test.yml:3: datasets.test_1.type: is required",
        "test.yml:4: val.save_img: must be true or false; got 1",
        "nowhere.yml: cannot be read: No such file or directory",
    ]
    assert len(errors) == len(expected)
    assert all(error.startswith(start) for error, start in zip(errors, expected, strict=True))
    assert lines[-1].startswith("5 files, 6 errors, ")


def test_no_file_is_an_error(tool: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert tool.main([str(tmp_path)]) == 1
    assert capsys.readouterr().out == "0 files, 0 errors, 0 notes\n"
