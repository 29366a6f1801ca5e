"""`prepare.py multi-gt` from its command line to its files."""

import csv
import json
import os

from prismsr.data.images.source import FolderSource
from prismsr.data.multi_gt.groups import group_keys
from prismsr.data.prepare.versions import enhancement_networks, multi_gt_patches
from prismsr.data.prepare.versions.filters import CLASSICAL
from prismsr.data.prepare.versions.patch_selection import PatchRule, make_image_rng, place_patches

import cv2
import numpy as np
import pytest
import torch

from .enhancement_networks import save_network

VERSIONS = ["original", "01", "02", "03", "04"]
SMALL = ("--crop", 32, "--step", 20)


def table(folder):
    with (folder / "selection.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_versions_of_each_patch(prepare, hr, tmp_path, images, capsys):
    out = tmp_path / "out"
    assert prepare("multi-gt", "-i", hr, "-o", out, *SMALL, "--all-patches", "--seed", 3) == 0
    written = images(out)
    rows = table(out)
    assert len(written) == 5 * len(rows) > 0
    assert f"4 images, {len(written)} files written" in (printed := capsys.readouterr().out)
    assert f"{len(rows)} of {len(rows)} patches kept" in printed
    assert {row["name"] for row in rows} > {"c", "sub/d"}
    for key in ("a", "c", "sub/d"):
        source = cv2.imread(str(hr / f"{key}.png"))
        versions = [source, *(enhancer(source) for enhancer in CLASSICAL.values())]
        corners = place_patches(*source.shape[:2], PatchRule(32, 20), make_image_rng(3, key))
        listed = {(int(row["row"]), int(row["col"])) for row in rows if row["name"] == key}
        assert set(corners) == listed
        for row, column in corners:
            for name, version in zip(VERSIONS, versions, strict=True):
                file = f"{name}/{key}-{row}-{column}{'' if name == 'original' else '_' + name}.png"
                assert np.array_equal(written[file], version[row : row + 32, column : column + 32])
    groups = group_keys(FolderSource(out).keys(), str(out))  # as the dataset finds them
    assert list(groups.versions) == VERSIONS
    assert set(groups.names) == {f"{row['name']}-{row['row']}-{row['col']}" for row in rows}


def test_rule_and_its_figures(prepare, tmp_path, photograph, images):
    source = np.full((90, 200, 3), 90, np.uint8)
    source[:, 110:] = photograph[100:190, 150:240, ::-1]  # a cat beside a grey wall
    (tmp_path / "HR").mkdir()
    cv2.imwrite(str(tmp_path / "HR/a.png"), source)
    out = tmp_path / "out"
    line = ("multi-gt", "-i", tmp_path / "HR", "-o", out, "--enhancer", "unsharp", *SMALL, "--std", 20)
    assert prepare(*line, "--laplacian", 25) == 0
    rows = table(out)
    kept = {f"a-{row['row']}-{row['col']}" for row in rows if row["kept"] == "1"}
    assert 0 < len(kept) < len(rows)
    names = {name for stem in kept for name in (f"original/{stem}.png", f"01/{stem}_01.png")}
    assert set(images(out)) == names
    for row in rows:
        good = [float(row[f"std_{v}"]) >= 20 and float(row[f"laplacian_{v}"]) >= 25 for v in ("original", "01")]
        assert row["kept"] == str(int(any(good)))
    differences = [float(row["max_mean_difference"]) for row in rows]
    assert differences == sorted(differences, reverse=True)
    row = rows[0]
    patch = images(out)[f"original/a-{row['row']}-{row['col']}.png"].astype(float)
    enhanced = images(out)[f"01/a-{row['row']}-{row['col']}_01.png"]
    assert differences[0] == pytest.approx(abs((patch - enhanced).mean()), abs=1e-4)


def test_any_number_of_workers_gives_the_same_and_a_second_run_makes_what_is_missing(
    prepare, hr, tmp_path, images, capsys
):
    def line(name):
        return ("multi-gt", "-i", hr, "-o", tmp_path / name, *SMALL, "--all-patches")

    assert prepare(*line("one"), workers=1) == 0
    assert prepare(*line("two"), workers=2) == 0
    first, second = images(tmp_path / "one"), images(tmp_path / "two")
    assert first.keys() == second.keys() and all(np.array_equal(first[name], second[name]) for name in first)
    selection = (tmp_path / "one/selection.csv").read_bytes()
    assert selection == (tmp_path / "two/selection.csv").read_bytes()

    lost = sorted(first)[7]
    (tmp_path / "one" / lost).unlink()
    (tmp_path / "one/.selection/b.json").unlink()  # as if killed before it was done
    (tmp_path / "one/.selection/c.json").write_text("{")
    (tmp_path / "one/selection.csv").unlink()
    stamps = {path: path.stat().st_mtime_ns for path in (tmp_path / "one").rglob("*.png")}
    capsys.readouterr()
    assert prepare(*line("one"), workers=1) == 0
    assert "4 images, 1 files written" in capsys.readouterr().out
    assert np.array_equal(images(tmp_path / "one")[lost], first[lost])
    assert (tmp_path / "one/selection.csv").read_bytes() == selection
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in stamps.items())


def test_a_finished_image_is_not_enhanced_again(prepare, hr, tmp_path, monkeypatch):
    line = ("multi-gt", "-i", hr, "-o", tmp_path / "out", *SMALL)
    assert prepare(*line, workers=1) == 0

    def not_again(path):
        raise AssertionError(f"{path} was read again")

    monkeypatch.setattr(multi_gt_patches, "read_image", not_again)
    assert prepare(*line, workers=1) == 0


def test_ctrl_c_keeps_what_is_done(prepare, hr, tmp_path, images, monkeypatch, capsys):
    line = ("multi-gt", "-i", hr, "-o", tmp_path / "out", *SMALL, "--all-patches")
    read = multi_gt_patches.read_image

    def stopped_at_c(path):
        if path.stem == "c":
            raise KeyboardInterrupt
        return read(path)

    monkeypatch.setattr(multi_gt_patches, "read_image", stopped_at_c)
    assert prepare(*line, workers=1) == 130
    assert "the same command goes on from there" in capsys.readouterr().err
    assert {name.split("/")[1][0] for name in images(tmp_path / "out")} == {"a", "b"}
    monkeypatch.undo()
    assert prepare(*line, workers=1) == 0
    assert {row["name"] for row in table(tmp_path / "out")} == {"a", "b", "c", "sub/d"}


def test_other_parameters_are_refused_and_overwrite_starts_anew(prepare, hr, tmp_path, images, capsys):
    line = ("multi-gt", "-i", hr, "-o", tmp_path / "out", *SMALL, "--all-patches", "--enhancer", "unsharp")
    assert prepare(*line) == 0
    first = set(images(tmp_path / "out"))
    assert prepare(*line, "--seed", 1) == 2
    assert "seed: 0 then, 1 now" in capsys.readouterr().err
    assert prepare(*line, "denoise-sharpen") == 2
    assert "enhancers: " in capsys.readouterr().err
    assert prepare(*line, "--seed", 1, "--overwrite") == 0
    assert set(images(tmp_path / "out")) != first
    stems = {f"{row['name']}-{row['row']}-{row['col']}.png" for row in table(tmp_path / "out")}
    assert {
        str(path.relative_to(tmp_path / "out/original")) for path in (tmp_path / "out/original").rglob("*.png")
    } == stems


def test_networks_as_enhancers(prepare, hr, tmp_path, images, capsys):
    pytest.importorskip("spandrel")
    weights = save_network(tmp_path / "weights/net.pth")
    line = ("multi-gt", "-i", hr, "-o", tmp_path / "out", *SMALL, "--all-patches", "--tile", 24, "--tile-pad", 4)
    assert prepare(*line, "--enhancer", weights, "unsharp") == 0
    written = images(tmp_path / "out")
    assert {name.split("/")[0] for name in written} == {"original", "01", "02"}
    assert all(
        np.any(written[name] != written[name.replace("01/", "original/").replace("_01.", ".")])
        for name in written
        if name.startswith("01/")
    )
    record = json.loads((tmp_path / "out/.prepare.json").read_text())
    assert record["enhancers"][0].keys() == {"file", "sha256", "tile", "tile_pad"}
    assert record["enhancers"][1] == {"name": "unsharp", "amount": 0.7, "sigma": 1.0}
    os.replace(save_network(tmp_path / "weights/other.pth", key=None), weights)
    assert prepare(*line, "--enhancer", weights, "unsharp") == 2  # other weights of the same name
    assert "enhancers: " in capsys.readouterr().err


def test_wrong_enhancers(prepare, hr, tmp_path, capsys):
    pytest.importorskip("spandrel")
    x2 = save_network(tmp_path / "weights/x2.pth", upscale=2)
    line = ("multi-gt", "-i", hr, "-o", tmp_path / "out")
    for arguments, message in (
        (("--enhancer", "unsharpp"), "did you mean 'unsharp'?"),
        (("--enhancer", "none.pth"), "No file at none.pth"),
        (("--enhancer", x2), "x2.pth: RealESRGAN Compact enlarges x2"),
        (("--enhancer", x2, "--device", "abacus"), "--device abacus: no such kind of device"),
        (("--crop", 0), "a whole number of 1 or more"),
    ):
        assert prepare(*line, *arguments) == 2
        error = capsys.readouterr().err
        assert message in error and "Traceback" not in error
    assert not (tmp_path / "out").exists()


def test_images_without_a_patch(prepare, hr, tmp_path, images, capsys):
    line = ("multi-gt", "-i", hr, "-o", tmp_path / "out", "--crop", 56, "--step", 20, "--jitter", 0, "--all-patches")
    cv2.imwrite(str(hr / "alpha.png"), np.zeros((90, 90, 4), np.uint8))
    assert prepare(*line) == 1
    assert "a.png: 48 x 60 pixels (height x width) hold no patch of 56 x 56" in (error := capsys.readouterr().err)
    assert "--on-error skip" in error
    assert prepare(*line, "--on-error", "skip") == 0
    printed = capsys.readouterr().out
    assert "2 images skipped" in printed and "alpha.png: has an alpha channel" in printed
    assert {row["name"] for row in table(tmp_path / "out")} == {"b", "c", "sub/d"}


def test_a_network_that_does_not_fit_into_memory(prepare, hr, tmp_path, monkeypatch, capsys):
    pytest.importorskip("spandrel")

    def too_large(*arguments):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(enhancement_networks, "enhance", too_large)
    weights = save_network(tmp_path / "weights/net.pth")
    line = ("multi-gt", "-i", hr, "-o", tmp_path / "out", *SMALL, "--enhancer", weights, "--on-error", "skip")
    assert prepare(*line) == 2  # not the images' fault: none is skipped
    error = capsys.readouterr().err
    assert "net.pth: out of memory on cpu; use a smaller --tile" in error and "Traceback" not in error


def test_help(prepare, capsys):
    assert prepare("multi-gt", "--help") == 0
    assert "NAME|FILE" in (printed := capsys.readouterr().out) and "local-contrast" in printed
