"""What all steps share: restart, refusal of other parameters, error policy, Ctrl-C, messages."""

import json
import os
import signal
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest

STEPS = ["photos", "multiscale", "subimages", "downsample", "edges", "multi-gt", "lmdb", "verify"]


@pytest.mark.parametrize("step", STEPS)
def test_help(prepare, capsys, step):
    assert prepare(step, "--help") == 0
    assert "--workers" in capsys.readouterr().out


def test_second_run_makes_only_what_is_missing(prepare, hr, tmp_path, images, capsys):
    line = ("downsample", "-i", hr, "-o", tmp_path / "LR")
    assert prepare(*line) == 0
    first = images(tmp_path / "LR")
    (tmp_path / "LR/c.png").unlink()
    stamps = {path: path.stat().st_mtime_ns for path in (tmp_path / "LR").glob("*.png")}
    capsys.readouterr()
    assert prepare(*line, workers=1) == 0
    assert "4 images, 1 files written" in capsys.readouterr().out
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in stamps.items())
    assert np.array_equal(images(tmp_path / "LR")["c.png"], first["c.png"])


def test_other_parameters_are_refused_and_overwrite_starts_anew(prepare, hr, tmp_path, images, capsys):
    out = tmp_path / "out"
    assert prepare("subimages", "-i", hr, "-o", out, "--crop", 24, "--step", 24) == 0
    many = images(out)
    assert prepare("subimages", "-i", hr, "-o", out, "--crop", 40, "--step", 24) == 2
    assert "crop: 24 then, 40 now" in (error := capsys.readouterr().err) and "--overwrite" in error
    assert images(out).keys() == many.keys()
    (out / ".a.png.1.partial").write_text("left by a killed run")
    assert prepare("subimages", "-i", hr, "-o", out, "--crop", 40, "--step", 24, "--overwrite") == 0
    assert 0 < len(images(out)) < len(many)  # nothing of the first run is left
    assert {image.shape for image in images(out).values()} == {(40, 40, 3)}
    assert not list(out.rglob("*.partial"))
    assert json.loads((out / ".prepare.json").read_text())["crop"] == 40


def test_overwrite_spares_runs_in_subfolders(prepare, hr, tmp_path, images):
    assert prepare("downsample", "-i", hr, "-o", tmp_path / "out") == 0
    assert prepare("edges", "-i", hr, "-o", tmp_path / "out/mask") == 0
    assert prepare("downsample", "-i", hr, "-o", tmp_path / "out", "--scale", 2, "--overwrite") == 0
    assert len(images(tmp_path / "out/mask")) == 4
    assert images(tmp_path / "out")["a.png"].shape == (24, 30, 3)


def test_same_sets_elsewhere_go_on(prepare, hr, tmp_path, capsys):
    """The record holds no absolute path, so that a data set can be moved or mounted elsewhere."""
    assert prepare("downsample", "-i", hr, "-o", tmp_path / "LR") == 0
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    hr.rename(moved / "HR")
    (tmp_path / "LR").rename(moved / "LR")
    assert prepare("downsample", "-i", moved / "HR", "-o", moved / "LR") == 0
    assert "0 files written" in capsys.readouterr().out


@pytest.mark.parametrize("workers", [1, 2])
def test_unreadable_image_stops_or_is_skipped(prepare, hr, tmp_path, images, capsys, workers):
    (hr / "b.png").write_bytes(b"")
    assert prepare("downsample", "-i", hr, "-o", tmp_path / "LR", workers=workers) == 1
    error = capsys.readouterr().err
    assert "b.png: the file is empty; --on-error skip goes on" in error and "Traceback" not in error
    assert prepare("downsample", "-i", hr, "-o", tmp_path / "LR", "--on-error", "skip", workers=workers) == 0
    assert "1 images skipped:\n" in (printed := capsys.readouterr().out) and "b.png: the file is empty" in printed
    assert sorted(images(tmp_path / "LR")) == ["a.png", "c.png", "sub/d.png"]


def test_output_that_cannot_be_written_is_named(prepare, hr, tmp_path, capsys):
    (tmp_path / "LR").mkdir()
    assert prepare("downsample", "-i", hr, "-o", tmp_path / "LR") == 0
    for path in (tmp_path / "LR/sub").iterdir():
        path.unlink()
    (tmp_path / "LR/sub").rmdir()
    (tmp_path / "LR/sub").write_text("a file where a folder has to be")
    assert prepare("downsample", "-i", hr, "-o", tmp_path / "LR", "--on-error", "skip") == 1
    error = capsys.readouterr().err
    assert "d.png" in error and "Traceback" not in error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "SUBCOMMAND"),
        (("resample",), "invalid choice"),
        (("downsample", "-o", "x"), "-i/--input"),
        (("downsample", "-i", "{hr}", "-o", "{tmp}/x", "--scale", "0"), "got '0'; allowed: a whole number of 1"),
        (("downsample", "-i", "{hr}", "-o", "{tmp}/x", "--scale", "2.5"), "got '2.5'"),
        (("downsample", "-i", "{tmp}/none", "-o", "{tmp}/x"), "none: no such folder"),
        (("downsample", "-i", "{hr}", "-o", "{hr}/LR"), "lies in the input folder"),
        (("edges", "-i", "{hr}/sub", "-o", "{hr}"), "holds files that tools/prepare.py did not make"),
        (("edges", "-i", "{hr}/sub", "-o", "{hr}", "--overwrite"), "holds files that tools/prepare.py did not make"),
    ],
)
def test_wrong_arguments(prepare, hr, tmp_path, capsys, arguments, message):
    assert prepare(*(argument.format(hr=hr, tmp=tmp_path) for argument in arguments)) == 2
    error = capsys.readouterr().err
    assert message in error and "Traceback" not in error
    assert sorted(path.name for path in tmp_path.iterdir()) == ["HR"]


def test_damaged_record_is_named(prepare, hr, tmp_path, capsys):
    (tmp_path / "LR").mkdir()
    (tmp_path / "LR/.prepare.json").write_text("{")
    assert prepare("downsample", "-i", hr, "-o", tmp_path / "LR") == 2
    assert ".prepare.json is damaged" in capsys.readouterr().err


def test_ctrl_c_and_restart_from_another_folder(repository, prepare, tmp_path, photograph, images):
    """The real command line, stopped by SIGINT to its whole process group as a terminal does, and run again."""
    hr = tmp_path / "HR"
    hr.mkdir()
    cv2.imwrite(str(hr / "0.png"), np.tile(photograph[:300, :448], (2, 2, 1)))
    for number in range(1, 120):
        os.link(hr / "0.png", hr / f"{number}.png")
    command = [
        sys.executable,
        str(repository / "tools/prepare.py"),
        "downsample",
        "-i",
        "HR",
        "-o",
        "LR",
        "--workers",
        "2",
    ]
    process = subprocess.Popen(
        command, cwd=tmp_path, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    while process.poll() is None and len(list((tmp_path / "LR").glob("*.png"))) < 3:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "the same command goes on from there" in error and "Traceback" not in error
    done = images(tmp_path / "LR")
    assert 3 <= len(done) < 120 and all(image is not None and image.shape == (150, 224, 3) for image in done.values())
    assert not list((tmp_path / "LR").rglob("*.partial"))
    assert prepare("downsample", "-i", hr, "-o", tmp_path / "LR") == 0
    assert len(images(tmp_path / "LR")) == 120
