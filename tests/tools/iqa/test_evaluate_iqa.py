"""tools/evaluate_iqa.py from its command line to its files, on photographs whose MOS falls with blur."""

import csv
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prismsr.metrics import catalog
from prismsr.tools import evaluate_iqa, paper_tables
from prismsr.tools.evaluation import columns
from prismsr.utils.weights.files import WeightsError

import cv2
import numpy as np
import pytest
from basicsr.metrics import calculate_niqe
from basicsr.utils.registry import METRIC_REGISTRY
from scipy import stats
from skimage import data

SIGMAS = (0, 0.7, 1.2, 2, 3)
Run = Callable[..., int]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run a command line on the set, with results in tmp_path/out; return the exit code."""

    def call(*arguments: Any, metric: str = "niqe", kind: str = "csv", root: Path | None = None) -> int:
        line = [metric, "--set", kind, "--root", root or tmp_path / "set", "-o", tmp_path / "out", "--workers", 1]
        try:
            return int(evaluate_iqa.main([str(argument) for argument in (*line, *arguments)]))
        except SystemExit as stop:  # argparse's way out
            return int(stop.code or 0)

    return call


@pytest.fixture
def blurred(tmp_path: Path, photograph: np.ndarray) -> list[str]:
    """tmp_path/set: two photographs at five levels of blur, 208 x 208, and their list; the names."""
    rows = []
    for name, image, loss in (("cat", photograph, 0.8), ("cup", data.coffee(), 0.7)):
        for level, sigma in enumerate(SIGMAS):
            crop = np.ascontiguousarray(image[60:268, 100:308, ::-1])
            path = tmp_path / "set" / name / f"{level}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), cv2.GaussianBlur(crop, (0, 0), sigma) if sigma else crop)
            rows.append(f"{name}/{level}.png,{5 - loss * level},{name}")
    (tmp_path / "set" / "labels.csv").write_text("\n".join(["file,mos,type", *rows]))
    return [row.split(",")[0] for row in rows]


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_niqe_from_images_to_results(
    run: Run, blurred: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run() == 0
    out = tmp_path / "out"
    log = read(out / "niqe_csv.csv")
    assert [row["image"] for row in log] == blurred
    niqe = [float(row["value"]) for row in log]
    assert niqe[2] == calculate_niqe(cv2.imread(str(tmp_path / "set" / blurred[2])), 0)

    rows = read(out / "niqe_csv_correlations.csv")
    assert [(row["group"], row["images"]) for row in rows] == [("all", "10"), ("cat", "5"), ("cup", "5")]
    mos = [5 - loss * level for loss in (0.8, 0.7) for level in range(5)]
    assert float(rows[0]["plcc_raw"]) == pytest.approx(stats.pearsonr(niqe, mos)[0], abs=1e-4)
    assert float(rows[0]["srcc"]) == pytest.approx(stats.spearmanr(niqe, mos)[0], abs=1e-4)
    assert float(rows[0]["krcc"]) == pytest.approx(stats.kendalltau(niqe, mos)[0], abs=1e-4)
    cubic = np.polyval(np.polyfit(niqe, mos, 3), niqe)
    assert float(rows[0]["plcc_cubic"]) == pytest.approx(stats.pearsonr(cubic, mos)[0], abs=1e-4)
    assert float(rows[0]["srcc"]) < -0.7  # lower is better: blur raises NIQE
    assert float(rows[0]["plcc_logistic"]) > 0.7
    assert rows[0]["paper_plcc"] == ""

    printed = capsys.readouterr().out
    assert "niqe (basicsr 1.4.2): lower is better" in printed
    assert (out / "niqe_csv.md").read_text() in printed
    assert f"| all   | 10     | {rows[0]['plcc_raw']}" in printed
    picture = cv2.imread(str(out / "niqe_csv.png"))
    assert picture.shape == (576, 768, 3)
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 20


def test_scores_are_reused_unless_image_or_options_changed(
    run: Run, blurred: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "out" / "niqe_csv.csv"
    assert run("--limit", 4) == 0
    assert "10 images (--limit)" in capsys.readouterr().out
    marked = log.read_text().splitlines()
    marked[1] = marked[1].rsplit(",", 1)[0] + ",99.5"
    log.write_text("\n".join(marked) + "\ncat/1.png,12,3")  # as if killed while writing the fifth
    assert run() == 0
    assert "10 images: 4 scores from" in capsys.readouterr().err
    rows = read(log)
    assert [row["image"] for row in rows[:4]] == [blurred[index] for index in (0, 3, 6, 9)]
    assert sorted(row["image"] for row in rows) == sorted(blurred)
    assert rows[0]["value"] == "99.5"

    image = cv2.imread(str(tmp_path / "set" / blurred[5]))
    cv2.imwrite(str(tmp_path / "set" / blurred[5]), 255 - image)
    os.utime(tmp_path / "set" / blurred[6], (1e9, 1e9))
    assert run() == 0
    assert "10 images: 8 scores from" in capsys.readouterr().err
    assert run("--metric-options", "crop_border=4") == 0
    assert "10 images: 0 scores from" in capsys.readouterr().err
    assert run() == 0
    assert "10 images: 10 scores from" in capsys.readouterr().err
    assert len(read(log)) == 22


def test_another_version_or_other_weights_score_anew(
    run: Run, blurred: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once a score was used again after an upgrade of pyiqa, or with other weights in its cache."""
    pytest.importorskip("pyiqa")
    line = ["--limit", 5, "--metric-options", "pretrained=false", "num_layers=1", "longer_side_lengths=[96]"]

    def kept() -> str:
        assert run(*line, metric="musiq") == 0
        return capsys.readouterr().err.partition("images: ")[2][:8]

    assert [kept(), kept()] == ["0 scores", "5 scores"]
    real = catalog.version
    with monkeypatch.context() as patch:
        patch.setattr(catalog, "version", lambda package: "9.9" if package == "pyiqa" else real(package))
        assert kept() == "0 scores"
    build = columns.build_nr_metric

    def other_weights(*arguments: Any, **options: Any) -> Any:
        made = build(*arguments, **options)
        next(made.net.parameters()).data += 1
        return made

    with monkeypatch.context() as patch:
        patch.setattr(columns, "build_nr_metric", other_weights)
        assert [kept(), kept()] == ["0 scores", "5 scores"]
    assert kept() == "5 scores"  # the first ones are still good
    assert len({row["metric"] for row in read(tmp_path / "out" / "musiq_csv.csv")}) == 3


def test_scores_without_version_and_weights_are_not_trusted(
    run: Run, blurred: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What evaluate_iqa.py and analyse_iqa.py wrote once is moved aside."""
    log = tmp_path / "out" / "niqe_csv.csv"
    log.parent.mkdir()
    log.write_text("file,size,mtime_ns,metric,options,score\r\ncat/0.png,1,2,calculate_niqe,{},3.0\r\n")
    assert run("--limit", 3) == 0
    told = [line for line in capsys.readouterr().err.splitlines() if "older version" in line]
    assert len(told) == 1 and "niqe_csv.csv.old" in told[0]
    assert len(read(log)) == 3
    assert read(log.with_name("niqe_csv.csv.old"))[0]["score"] == "3.0"
    log.write_text("my,notes\n")
    assert run() == 2
    assert log.read_text() == "my,notes\n"


def test_ctrl_c_keeps_what_is_made(run: Run, blurred: list[str], tmp_path: Path) -> None:
    calls = []

    @METRIC_REGISTRY.register()
    def calculate_mean_until_stopped(img: np.ndarray) -> float:
        calls.append(float(img.mean() + img.std()))
        if len(calls) == 4:
            raise KeyboardInterrupt
        return calls[-1]

    try:
        assert run(metric="mean_until_stopped") == 130
        log = tmp_path / "out" / "mean_until_stopped_csv.csv"
        assert [row["image"] for row in read(log)] == blurred[:3]
        assert run(metric="mean_until_stopped") == 0
        assert [row["image"] for row in read(log)] == blurred
        assert len(calls) == 11
    finally:
        METRIC_REGISTRY._obj_map.pop("calculate_mean_until_stopped")


def test_unreadable_images_stop_or_are_named(
    run: Run, blurred: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "set" / blurred[1]).write_bytes(b"no image")
    cv2.imwrite(str(tmp_path / "set" / blurred[2]), np.zeros((50, 60, 3), np.uint8))  # smaller than NIQE's blocks
    assert run() == 1
    assert "1.png" in capsys.readouterr().err
    assert run("--on-error", "skip") == 0
    printed = capsys.readouterr().out
    assert "2 of 10 images" in printed
    assert "2.png: NIQE" in printed and "60 x 50" in printed
    assert read(tmp_path / "out" / "niqe_csv_correlations.csv")[0]["images"] == "8"


def test_constant_mos_fails_with_the_reason(
    run: Run, blurred: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "set" / "labels.csv").write_text("".join(f"{name},3\n" for name in blurred[:3]))
    assert run() == 1
    assert "all: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ([], {"metric": "niqqe"}, "'niqqe'; did you mean 'niqe'"),
        ([], {"metric": "psnr"}, "psnr"),
        ([], {"root": Path("nowhere")}, "nowhere"),
        ([], {"metric": "fid"}, "fid"),
        (["--metric-options", "crop=4"], {}, "niqe: crop"),
        (["--metric-options", "4"], {}, "KEY=VALUE"),
        (["--device", "abacus"], {}, "--device abacus"),
        (["--limit", "0"], {}, "argument --limit"),
        ([], {"kind": "tid"}, "'tid'"),
    ],
)
def test_wrong_usage(
    run: Run,
    blurred: list[str],
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    options: dict[str, Any],
    message: str,
) -> None:
    assert run(*arguments, **options) == 2
    assert message in capsys.readouterr().err


def test_the_table_never_replaces_the_scores(run: Run, blurred: list[str], tmp_path: Path) -> None:
    assert run("--csv", tmp_path / "out" / "niqe_csv.csv") == 2
    assert run("--csv", tmp_path / "table.csv", "--limit", 3) == 0
    assert len(read(tmp_path / "table.csv")) == 3


def test_weights_named_by_an_option_are_part_of_what_is_scored(
    run: Run, blurred: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = tmp_path / "weights.txt"
    seen = []

    @METRIC_REGISTRY.register()
    def calculate_weighted(img: np.ndarray, weights: str) -> float:
        seen.append(weights)
        return float(Path(weights).read_text()) * img.std()

    calculate_weighted.better = "lower"  # type: ignore[attr-defined]
    try:
        line = ["--metric-options", f"weights={weights}", "--workers", "2"]
        for text, made in (("2", 0), ("2", 10), ("3.5", 0)):
            if not weights.exists() or weights.read_text() != text:
                weights.write_text(text)
            assert run(*line, metric="calculate_weighted") == 0
            printed = capsys.readouterr()
            assert f"10 images: {made} scores from" in printed.err
            assert "lower is better" in printed.out
        assert run(metric="weighted") == 2
        assert "weighted: weights" in capsys.readouterr().err
    finally:
        METRIC_REGISTRY._obj_map.pop("calculate_weighted")
    assert seen == []  # two processes did the work
    scores = [float(row["value"]) for row in read(tmp_path / "out" / "weighted_csv.csv")]
    assert scores[10:] == pytest.approx([score * 1.75 for score in scores[:10]])


def test_a_network_gets_the_device_and_its_own_trouble_is_told_once(
    run: Run, blurred: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    @METRIC_REGISTRY.register()
    def calculate_needy(img: np.ndarray, device: str) -> float:
        raise WeightsError(f"fetch the weights for {device} from elsewhere")

    try:
        assert run("--on-error", "skip", "--workers", 2, metric="needy") == 2
        assert capsys.readouterr().err.endswith("error: fetch the weights for cpu from elsewhere\n")
    finally:
        METRIC_REGISTRY._obj_map.pop("calculate_needy")


def test_pyiqa_is_optional(
    run: Run, blurred: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyiqa", None)  # an import of it fails
    assert run(metric="pyiqa:musiq") == 2
    message = capsys.readouterr().err
    assert "pip install pyiqa" in message
    assert "PolyForm Noncommercial" in message


def test_a_metric_of_pyiqa(run: Run, blurred: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(metric="pyiqa:piqe") == 0
    assert [row["image"] for row in read(tmp_path / "out" / "piqe_csv.csv")] == blurred
    assert "lower is better" in capsys.readouterr().out
    assert run(metric="piqe") == 0
    assert "10 images: 10 scores from" in capsys.readouterr().err  # the same metric
    assert run(metric="pyiqa:psnr") == 2
    assert "pyiqa:psnr" in capsys.readouterr().err


def test_papers_figures_stand_beside(run: Run, blurred: list[str], tmp_path: Path) -> None:
    lines = [
        "image_name,MOS,set",
        *(f"{name},{5 - i},{'training' if i < 5 else 'test'}" for i, name in enumerate(blurred)),
    ]
    (tmp_path / "set" / "koniq10k_distributions_sets.csv").write_text("\n".join(lines))
    for name in blurred:
        target = tmp_path / "set" / "1024x768" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((tmp_path / "set" / name).read_bytes())
    assert run(kind="koniq10k") == 0
    rows = read(tmp_path / "out" / "niqe_koniq10k_correlations.csv")
    assert [row["group"] for row in rows] == ["all", "Test", "Train"]
    assert [rows[0][f"paper_{name}"] for name in ("plcc", "srcc", "krcc")] == ["0.4637", "0.5291", "0.3666"]
    assert rows[1]["paper_plcc"] == ""  # Table 4 has SFD-IQA's variants alone


def test_paper_tables() -> None:
    tables = paper_tables
    names = [path.stem for path in tables.FOLDER.glob("*.csv")]
    assert len(names) == 13
    assert all(len(tables.read_table(name)) > 10 for name in names)
    expected = {
        ("sfd_table3", "LIVE-itW", "SFD-IQA"): {"PLCC": 0.7111, "SRCC": 0.6984, "KRCC": 0.5090},
        ("sfd_table3", "KonIQ-10k", "CLIP-IQA"): {"PLCC": 0.4330, "SRCC": 0.4145, "KRCC": 0.2821},
        ("sfd_table4", "PIPAL. GAN.SR", "SFD-IQA"): {"PLCC": 0.4006, "SRCC": 0.3061},
        ("sfd_table4", "KonIQ-10k. Val", "w/ Feat-D"): {"PLCC": 0.7452, "SRCC": 0.7264},
        ("sfd_table3", "PIPAL", "ContentSep"): {},
    }
    for key, values in expected.items():
        assert tables.find_figures(*key) == values
