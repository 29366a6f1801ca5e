from prismsr.data.multi_gt.score_file import ScoreWriter, read_scores
from prismsr.metrics.no_reference import build_nr_metric

import cv2
import numpy as np
import pytest
import torch


@pytest.fixture
def root(tmp_path, photograph):
    """Two images in the original and two versions, HGGT's names; the second image is wider than the first."""
    folder = tmp_path / "GT"
    for number, name in enumerate(("0001-0-0", "0002-0-9")):
        image = photograph[60:156, 20 + 150 * number : 116 + 250 * number, ::-1]
        for version, sigma in (("original", 0), ("01", 1), ("02", 3)):
            path = folder / version / (f"{name}.png" if not sigma else f"{name}_{version}.png")
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), cv2.GaussianBlur(image, (0, 0), sigma) if sigma else image)
    return folder


@pytest.fixture
def run(prepare, root, tmp_path):
    def call(*arguments, source=root):
        line = ("score", "-i", source, "-o", tmp_path / "scores.csv", "--metric", "natural_scene", "--device", "cpu")
        return prepare(*line, *arguments)

    return call


def _expected(root):
    metric = build_nr_metric("natural_scene")
    found = {}
    for path in root.rglob("*.png"):
        rgb = torch.from_numpy(cv2.imread(str(path))[..., ::-1].copy()).permute(2, 0, 1)[None].float() / 255
        found[path.stem.split("_")[0], path.parent.name] = metric(rgb).item()
    return found


@pytest.mark.parametrize("batch", [1, 4])
def test_scores_of_all_versions(run, root, tmp_path, capsys, batch):
    assert run("--batch", batch) == 0
    table = read_scores(tmp_path / "scores.csv")
    assert table.scores == pytest.approx(_expected(root), rel=1e-6)
    assert len(table.scores) == 6 and table.metric == "natural_scene"
    quality = table.find_quality("0001-0-0", ["original", "01", "02"])
    assert quality[0] > quality[1] > quality[2]
    assert "score: 6 images, 6 scored now" in capsys.readouterr().out


def test_from_an_lmdb(run, prepare, root, tmp_path):
    assert prepare("lmdb", "-i", root, "-o", tmp_path / "GT.lmdb") == 0
    assert run(source=tmp_path / "GT.lmdb") == 0
    assert read_scores(tmp_path / "scores.csv").scores == pytest.approx(_expected(root), rel=1e-6)


def test_ctrl_c_and_going_on(run, tmp_path, capsys, monkeypatch):
    made = []
    add = ScoreWriter.add

    def stopping(writer, *line):
        if len(made) == 3:
            raise KeyboardInterrupt
        made.append(line)
        add(writer, *line)

    with monkeypatch.context() as patch:
        patch.setattr(ScoreWriter, "add", stopping)
        assert run() == 130
    first = (tmp_path / "scores.csv").read_text()
    assert len(read_scores(tmp_path / "scores.csv").scores) == 3
    assert run() == 0
    assert (tmp_path / "scores.csv").read_text().startswith(first)
    assert len(read_scores(tmp_path / "scores.csv").scores) == 6
    assert "6 images, 3 scored now" in capsys.readouterr().out


def test_other_settings_need_another_file(run, tmp_path, capsys):
    assert run() == 0
    assert run("--option", "score_range=[0, 30]") == 2
    assert "score_range: (0.0, 20.0) there, (0.0, 30.0) now" in capsys.readouterr().err
    assert run("--option", "score_range=[0, 30]", "--overwrite") == 0
    assert read_scores(tmp_path / "scores.csv").header.score_range == (0, 30)


def test_bad_images_stop_or_are_named(run, root, tmp_path, capsys):
    (root / "01/0001-0-0_01.png").write_bytes(b"no image")
    cv2.imwrite(str(root / "02/0002-0-9_02.png"), np.zeros((50, 60, 3), np.uint8))
    assert run() == 1
    assert "0001-0-0_01.png: cannot be decoded" in capsys.readouterr().err
    assert run("--on-error", "skip") == 0
    printed = capsys.readouterr().out
    assert "2 images skipped" in printed and "natural_scene failed on 60 x 50 pixels" in printed
    assert len(read_scores(tmp_path / "scores.csv").scores) == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--metric", "natural_scen"], "did you mean 'natural_scene'"),
        (["--metric", "lpips-st"], "lpips-st compares two images"),
        (["--option", "score_range"], "--option score_range: write KEY=VALUE"),
        (["--option", "block=3"], "natural_scene has no option 'block'"),
        (["--original", "origin"], "no folder of the version 'origin'"),
    ],
)
def test_wrong_usage(run, capsys, arguments, message):
    assert run(*arguments) == 2
    assert message in capsys.readouterr().err


def test_a_file_that_is_no_score_file_is_left_alone(run, tmp_path, capsys):
    (tmp_path / "scores.csv").write_text("my,notes\n")
    assert run() == 2
    assert "does not tell the metric" in capsys.readouterr().err
    assert (tmp_path / "scores.csv").read_text() == "my,notes\n"
