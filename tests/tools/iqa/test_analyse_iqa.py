"""tools/analyse_iqa.py from its command line to its files, on photographs and their blurred and noisy versions."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prismsr.metrics.no_reference import build_nr_metric
from prismsr.tools import analyse_iqa
from prismsr.tools.evaluation import scoring
from prismsr.tools.iqa import people_report as iqa_analysis_report

import cv2
import numpy as np
import pytest
import torch

Run = Callable[..., int]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run a command line with results in tmp_path/out; return the exit code."""

    def call(*arguments: Any) -> int:
        try:
            line = [str(argument) for argument in (*arguments, "-o", tmp_path / "out")]
            return int(analyse_iqa.main(line))
        except SystemExit as stop:  # argparse's way out
            return int(stop.code or 0)

    return call


@pytest.fixture(scope="session")
def versions(photograph: np.ndarray) -> dict[str, np.ndarray]:
    """A crop of 112 x 96 (width x height) as it is, blurred, blurred more, and noisy; BGR."""
    sharp = np.ascontiguousarray(photograph[60:156, 120:232, ::-1])
    noise = np.random.default_rng(0).normal(0, 25, sharp.shape)
    return {
        "sharp": sharp,
        "soft": cv2.GaussianBlur(sharp, (0, 0), 1.0),
        "softer": cv2.GaussianBlur(sharp, (0, 0), 2.5),
        "noisy": np.clip(sharp + noise, 0, 255).astype(np.uint8),
    }


@pytest.fixture(scope="session")
def distance(versions: dict[str, np.ndarray]) -> dict[str, float]:
    """natural_scene of the versions, lower is better."""
    metric = build_nr_metric("natural_scene")
    with torch.no_grad():
        return {
            name: float(metric(torch.from_numpy(image[..., ::-1].copy()).permute(2, 0, 1)[None] / 255))
            for name, image in versions.items()
        }


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def pairs(tmp_path: Path, versions: dict[str, np.ndarray]) -> Path:
    """tmp_path/set with the versions, and tmp_path/choices.csv."""
    (tmp_path / "set").mkdir()
    for name, image in versions.items():
        cv2.imwrite(str(tmp_path / "set" / f"{name}.png"), image)
    rows = [
        ("sharp", "softer", "left"),
        ("softer", "soft", "right"),
        ("noisy", "sharp", "right"),
        ("soft", "noisy", "tie"),
        ("softer", "sharp", "left"),  # a person who likes blur
        ("sharp", "sharp", "left"),  # equal scores
    ]
    lines = ["left,right,choice", *(f"{left}.png,{right}.png,{choice}" for left, right, choice in rows)]
    (tmp_path / "choices.csv").write_text("\n".join(lines))
    return tmp_path / "choices.csv"


def test_pairs_from_images_to_results(
    run: Run, pairs: Path, tmp_path: Path, distance: dict[str, float], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("pairs", "--pairs", pairs, "--root", tmp_path / "set", "--metric", "natural_scene") == 0
    out = tmp_path / "out/choices"
    scores = {row["image"]: float(row["value"]) for row in read(out / "scores/natural_scene.csv")}
    assert scores == pytest.approx({f"{name}.png": score for name, score in distance.items()}, rel=1e-5)
    right = 0.5
    for better, worse in (("sharp", "softer"), ("soft", "softer"), ("sharp", "noisy"), ("softer", "sharp")):
        right += distance[better] < distance[worse]
    (row,) = read(out / "accuracy.csv")
    assert (row["compared"], row["equal_scores"], row["no_score"], row["human_ties"]) == ("5", "1", "0", "1")
    assert row["accuracy"] == f"{100 * right / 5:.2f}" and row["paper"] == ""
    assert 50 <= float(row["accuracy"]) <= 70  # it cannot agree with the first and the fifth alike
    report = json.loads((out / "report.json").read_text())
    assert report["metrics"]["natural_scene"]["accuracy"] == pytest.approx(right / 5)
    assert report["complementarity"][0][0] == 0
    printed = capsys.readouterr().out
    assert (out / "report.md").read_text() in printed and "6 pairs, 1 of them ties" in printed
    assert cv2.imread(str(out / "complementarity.png")).shape[2] == 3


def test_two_metrics_complement_each_other(run: Run, pairs: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyiqa")
    line = ["pairs", "--pairs", pairs, "--root", tmp_path / "set", "--name", "two", "--metric", "pyiqa:musiq"]
    assert run(*line, "natural_scene", "--metric-options", "musiq.pretrained=false") == 0
    rows = read(tmp_path / "out/two/accuracy.csv")
    assert [row["metric"] for row in rows] == ["musiq", "natural_scene"]
    assert rows[0]["paper"] == "74.47"
    matrix = {(row["wrong"], row["metric"]): row for row in read(tmp_path / "out/two/complementarity.csv")}
    wrong = matrix["natural_scene", "natural_scene"]
    assert float(wrong["accuracy"]) == 0
    assert matrix["natural_scene", "musiq"]["pairs"] == wrong["pairs"]


def test_scores_are_kept_and_made_anew_for_other_weights(
    run: Run, pairs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["pairs", "--pairs", pairs, "--root", tmp_path / "set", "--metric", "natural_scene"]
    assert run(*line) == 0
    assert "0 scores from" in capsys.readouterr().err
    log = tmp_path / "out/choices/scores/natural_scene.csv"
    log.write_text("".join(log.read_text().splitlines(keepends=True)[:3]) + "soft.png,1")  # as if killed
    assert run(*line) == 0
    assert "2 scores from" in capsys.readouterr().err
    assert run(*line) == 0
    assert "4 scores from" in capsys.readouterr().err
    weights = build_nr_metric("natural_scene").hash_weights()
    log.write_text(log.read_text().replace(weights, "0" * 64))
    assert run(*line) == 0
    assert "0 scores from" in capsys.readouterr().err


def test_ctrl_c_keeps_what_is_made(run: Run, pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, seen = scoring.read_bgr, []

    def stopped_at_the_third(path: Path) -> np.ndarray:
        seen.append(path)
        if len(seen) == 3:
            raise KeyboardInterrupt
        return real(path)

    monkeypatch.setattr(scoring, "read_bgr", stopped_at_the_third)
    line = ["pairs", "--pairs", pairs, "--root", tmp_path / "set", "--metric", "natural_scene"]
    assert run(*line) == 130
    assert len(read(tmp_path / "out/choices/scores/natural_scene.csv")) == 2
    assert run(*line) == 0
    assert len(seen) == 5


def test_images_without_a_score_stop_or_are_counted(
    run: Run, pairs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cv2.imwrite(str(tmp_path / "set/noisy.png"), np.zeros((20, 30, 3), np.uint8))
    line = ["pairs", "--pairs", pairs, "--root", tmp_path / "set", "--metric", "natural_scene"]
    assert run(*line) == 1
    error = capsys.readouterr().err
    assert "noisy.png: natural-scene" in error and "30 x 20" in error and "--on-error skip" in error
    assert run(*line, "--on-error", "skip") == 0
    assert "natural_scene: 1 of 4" in capsys.readouterr().out
    (row,) = read(tmp_path / "out/choices/accuracy.csv")
    assert (row["compared"], row["no_score"]) == ("4", "1")


def write_groups(root: Path, versions: dict[str, np.ndarray]) -> None:
    """Two groups: sharp with soft, noisy and softer; soft with sharp, softer and noisy."""
    for number, group in enumerate((("sharp", "soft", "noisy", "softer"), ("soft", "sharp", "softer", "noisy"))):
        for folder, name in zip(("original", "01", "02", "03"), group, strict=True):
            path = root / folder / f"{number}{'' if folder == 'original' else '_' + folder}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), versions[name])


LABELS = (
    "name,version,label,votes\n0,01,Positive,3\n0,02,Negative,2\n0,03,Similar,3\n1,01,Positive,2\n1,02,Negative,3\n"
)


def test_hggt_from_images_and_from_score_files(
    run: Run,
    versions: dict[str, np.ndarray],
    distance: dict[str, float],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    root = tmp_path / "groups"
    write_groups(root, versions)
    (tmp_path / "labels.csv").write_text(LABELS)
    line = ["hggt", "--root", root, "--labels", tmp_path / "labels.csv"]
    assert run(*line, "--metric", "natural_scene") == 0
    (row,) = read(tmp_path / "out/groups/misalignment.csv")
    below = (distance["soft"] > distance["sharp"]) + (distance["sharp"] > distance["soft"])
    assert row["PM"] == f"{100 * below / 2:.2f}" == "50.00"  # each is the other's original
    above = (distance["noisy"] < distance["sharp"]) + (distance["softer"] < distance["soft"])
    assert row["NM"] == f"{100 * above / 2:.2f}"
    assert (row["groups"], row["with_a_negative"], row["negative_held"]) == ("2", "2", "100.00")
    printed = capsys.readouterr().out
    assert "AMO, MUSIQ (about)" in printed and "1 enhanced images have no label" in printed

    header = "# metric=other version=1 weights= lower_better=true score_range=0,20\nname,version,score\n"
    groups = [("sharp", "soft", "noisy", "softer"), ("soft", "sharp", "softer", "noisy")]
    folders = ("original", "01", "02", "03")
    scores = [f"{n},{v},{distance[g]!r}" for n, group in enumerate(groups) for v, g in zip(folders, group, strict=True)]
    (tmp_path / "scores.csv").write_text(header + "\n".join(scores) + "\n")
    assert run(*line, "--scores", tmp_path / "scores.csv", "--metric", "natural_scene", "--name", "both") == 0
    both = read(tmp_path / "out/both/misalignment.csv")
    assert [each.pop("metric") for each in both] == ["other", "natural_scene"]
    assert both[0] == both[1]
    found = json.loads((tmp_path / "out/both/report.json").read_text())["metrics"]["other"]
    assert found["positive"] == {"count": 1, "total": 2, "value": 0.5}
    (tmp_path / "scores.csv").write_text(header + "\n".join(scores[1:]) + "\n")
    assert run(*line, "--scores", tmp_path / "scores.csv") == 2
    assert "original" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "KIND"),
        (["pairs", "--metric", "natural_scen"], "'natural_scene'"),
        (["pairs", "--metric", "natural_scene", "natural-scene"], "natural_scene, natural_scene"),
        (["pairs", "--metric", "lpips"], "lpips"),
        (["pairs", "--metric", "natural_scene", "--metric-options", "a=1"], "METRIC.KEY=VALUE"),
        (["pairs", "--metric", "natural_scene", "--metric-options", "niqe.a=1"], "--metric-options: niqe"),
        (["pairs", "--metric", "natural_scene", "--metric-options", "natural_scene.a=1"], "'a'"),
        (["pairs", "--metric", "natural_scene", "--device", "abacus"], "--device abacus"),
        (["pairs", "--metric", "natural_scene", "--root", "none"], "none"),
        (["pairs", "--metric", "natural_scene", "--pairs", "none.csv"], "none.csv"),
        (["hggt"], "--scores"),
        (["hggt", "--metric", "natural_scene"], "'original'"),
    ],
)
def test_wrong_usage(
    run: Run, pairs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    (tmp_path / "set/01").mkdir()
    (tmp_path / "set/01/a.png").write_bytes((tmp_path / "set/soft.png").read_bytes())
    for path in (tmp_path / "set").glob("*.png") if arguments[:1] == ["hggt"] else ():
        path.unlink()
    given = {
        "pairs": ["--root", tmp_path / "set", "--pairs", pairs],
        "hggt": ["--root", tmp_path / "set", "--labels", pairs],
    }
    line = [*arguments[:1], *given.get((arguments or [""])[0], []), *arguments[1:]]
    assert run(*line) == 2
    error = capsys.readouterr().err
    assert message in error and "Traceback" not in error
    assert not (tmp_path / "out").exists()


def test_labels_of_another_set(
    run: Run, versions: dict[str, np.ndarray], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_groups(tmp_path / "groups", versions)
    (tmp_path / "labels.csv").write_text(LABELS.replace("0,", "x,").replace("1,0", "y,0"))
    line = ["hggt", "--root", tmp_path / "groups", "--labels", tmp_path / "labels.csv", "--metric", "natural_scene"]
    assert run(*line) == 2
    assert "these are named as 0, the labels as x" in capsys.readouterr().err


def test_papers_names() -> None:
    paper = iqa_analysis_report.find_paper_accuracy
    names = {
        "musiq": 74.47,
        "maniqa": 70.51,
        "maniqa-pipal": 69.63,
        "niqe-pyiqa": 56.43,
        "niqe_matlab": 51.94,
        "ilniqe": 57.92,
    }
    assert {name: paper(name) for name in names} == names
    assert paper("natural_scene") is paper("niqe") is None
