"""tools/evaluate.py from its command line to its table and exit code."""

from prismsr.tools import evaluate

import cv2
import numpy as np
import pytest


@pytest.fixture(scope="module")
def tool():
    return evaluate


@pytest.fixture
def folders(photograph, tmp_path):
    for name in ("a", "b"):
        gt = np.ascontiguousarray(photograph[:96, 100:220, ::-1]) if name == "a" else photograph[100:196, 100:220]
        for folder, image in (("gt", gt), ("sr", cv2.GaussianBlur(gt, (0, 0), 1))):
            (tmp_path / folder).mkdir(exist_ok=True)
            cv2.imwrite(str(tmp_path / folder / f"{name}.png"), image)
    return ["--sr", tmp_path / "sr", "--gt", tmp_path / "gt", "-o", tmp_path / "out", "--workers", 1, "--device", "cpu"]


def run(tool, *arguments):
    try:
        return tool.main([str(argument) for argument in arguments])
    except SystemExit as stop:  # argparse's way out
        return int(stop.code or 0)


def test_table_and_files(tool, folders, tmp_path, capsys):
    assert run(tool, *folders, "--metrics", "psnr", "ssim", "--y", "--crop-border", 4) == 0
    printed = capsys.readouterr().out
    assert "| Y of BT.601, crop_border 4 | prismsr" in printed
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "made_scores.csv",
        "scores.csv",
        "summary.json",
    ]
    assert run(tool, *folders, "--protocol", "ssl", "--metrics", "psnr") == 0
    rows = (tmp_path / "out" / "made_scores.csv").read_text().splitlines()
    assert len(rows) == 5  # the protocol has the same settings
    psnr = printed.splitlines()[2].split()
    assert psnr in [line.split() for line in capsys.readouterr().out.splitlines()]


def test_another_folder_of_the_same_name_does_not_take_its_place(tool, folders, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    line = ["--gt", tmp_path / "gt", "--metrics", "psnr", "--workers", 1, "--device", "cpu"]
    (tmp_path / "other").mkdir()
    (tmp_path / "sr").rename(tmp_path / "other" / "sr")
    assert run(tool, "--sr", tmp_path / "other" / "sr", *line) == 0
    assert run(tool, "--sr", "other/sr", *line) == 0
    (tmp_path / "mine").mkdir()
    (tmp_path / "other" / "sr").rename(tmp_path / "mine" / "sr")
    assert run(tool, "--sr", "mine/sr", *line) == 2
    assert "other/sr" in capsys.readouterr().err


def test_explain(tool, capsys):
    line = ["--protocol", "lgcaa", "--niqe", "basicsr", "--fid-patches", 64, "--lpips-net", "vgg", "--rgb"]
    assert run(tool, "--explain", *line, "--align", "crop", "--metric-options", "musiq.weights=w.pth") == 0
    printed = capsys.readouterr().out
    assert (
        "NIQE: crop_border 0 [OSEDiff's test script; our reconstruction: the paper is silent; changed by you" in printed
    )
    assert "FID: patches of 64 x 64, mode clean" in printed
    assert "LPIPS: crop_border 0, net vgg" in printed
    assert "PSNR: RGB, pyiqa's (MSE + 1e-8), crop_border 0" in printed
    assert "MUSIQ: crop_border 0, weights w.pth" in printed
    assert "a larger GT is cut" in printed


def test_bad_images_give_1(tool, folders, tmp_path, capsys):
    (tmp_path / "sr" / "a.png").write_bytes(b"no image")
    assert run(tool, *folders, "--metrics", "psnr") == 1
    printed = capsys.readouterr().out
    assert "**1 of 2**" in printed
    assert "a.png: " in printed


def test_ctrl_c_gives_130_and_what_is_made_is_kept(tool, folders, tmp_path, capsys, monkeypatch):
    from prismsr.tools.evaluation import scoring as evaluation_running

    whole, calls = evaluation_running.ssim, []

    def stopped(first, second, **more):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return whole(first, second, **more)

    monkeypatch.setattr(evaluation_running, "ssim", stopped)
    assert run(tool, *folders, "--metrics", "psnr", "ssim") == 130
    assert "stopped" in capsys.readouterr().err
    assert len((tmp_path / "out" / "made_scores.csv").read_text().splitlines()) == 3
    assert run(tool, *folders, "--metrics", "psnr", "ssim") == 0
    assert len(calls) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--protocol"),
        (["--metrics", "psnrr"], "'psnrr'; did you mean 'psnr'"),
        (["--protocol", "sssl"], "'sssl'"),
        (["--metrics", "psnr", "--gt", "nowhere"], "nowhere"),
        (["--metrics", "psnr", "--suffix", "_x9"], "'_x9'"),
        (["--metrics", "psnr", "--device", "abacus"], "--device abacus"),
        (["--metrics", "psnr", "--metric-options", "crop=4"], "METRIC.KEY=VALUE"),
        (["--metrics", "psnr", "--niqe", "pyiqa"], "--niqe"),
        (["--metrics", "psnr", "--y", "--rgb"], "argument --rgb"),
    ],
)
def test_wrong_usage(tool, folders, capsys, arguments, message):
    assert run(tool, *folders, *arguments) == 2
    assert message in capsys.readouterr().err
