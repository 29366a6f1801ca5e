"""evaluate_folder from folders to means, beside the functions that it stands for."""

import csv
import json
import os

from prismsr.metrics.lpips_st_metric import calculate_lpips_st
from prismsr.metrics.psnr_ssim import planes, psnr, ssim
from prismsr.tools.evaluation import columns as evaluation_metrics
from prismsr.tools.evaluation import folder as evaluation
from prismsr.tools.evaluation import image_scores
from prismsr.tools.evaluation import scoring as evaluation_running
from prismsr.tools.evaluation.columns import MetricSpec, make_scorer
from prismsr.tools.evaluation.folder import evaluate_folder, resolve_devices
from prismsr.tools.evaluation.matching import MatchingError, match
from prismsr.tools.evaluation.protocols import Protocol
from prismsr.tools.evaluation.scoring import Outcome, Unit, split_batches
from prismsr.tools.evaluation.summary import format_markdown
from prismsr.utils.errors import OptionError, UserError
from prismsr.utils.images import write_png_atomic
from prismsr.utils.weights.files import WeightsError

import cv2
import numpy as np
import pytest
import torch
from basicsr.metrics import calculate_niqe, calculate_psnr, calculate_ssim
from torch import nn

Y4 = {"y_channel": True, "crop_border": 4}
PIXELS = (MetricSpec("psnr", Y4), MetricSpec("ssim", Y4), MetricSpec("niqe", {"crop_border": 4}))
NAMES = ("a", "b", "c")


@pytest.fixture
def folders(photograph, tmp_path):
    """sr and gt with three crops, one of another size; SR names end in _x4."""
    for number, (name, width) in enumerate(zip(NAMES, (204, 204, 240), strict=True)):
        gt = np.ascontiguousarray(photograph[10 * number : 10 * number + 204, 100 : 100 + width, ::-1])
        write_png_atomic(tmp_path / "gt" / f"{name}.png", gt)
        write_png_atomic(tmp_path / "sr" / f"{name}_x4.png", cv2.GaussianBlur(gt, (0, 0), 1 + number / 2))
    return tmp_path / "sr", tmp_path / "gt", tmp_path / "out"


def images(folders, name):
    return cv2.imread(str(folders[0] / f"{name}_x4.png")), cv2.imread(str(folders[1] / f"{name}.png"))


def made(folders):
    with (folders[2] / evaluation.STORE).open(newline="") as file:
        return list(csv.reader(file))[1:]


def test_scores_are_those_of_the_packages(folders):
    specs = (*PIXELS, MetricSpec("lpips-st", {"crop_border": 4}), MetricSpec("natural-scene", {}))
    summary = evaluate_folder(*folders[:2], specs, folders[2], workers=1, device="cpu")
    assert summary.complete
    for name in NAMES:
        sr, gt = images(folders, name)
        expected = {
            "PSNR": calculate_psnr(sr, gt, 4, test_y_channel=True),
            "SSIM": calculate_ssim(sr, gt, 4, test_y_channel=True),
            "NIQE": calculate_niqe(sr, 4),
            "LPIPS-ST": calculate_lpips_st(sr, gt, 4),
        }
        for column, value in expected.items():
            assert summary.values[column][name] == pytest.approx(value, abs=1e-6)
    described = summary.metrics["PSNR"]
    values = list(summary.values["PSNR"].values())
    assert (described.mean, described.std) == pytest.approx((np.mean(values), np.std(values)))
    assert [metric.better for metric in summary.metrics.values()] == ["higher", "higher", "lower", "lower", "lower"]

    with (folders[2] / "scores.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 15
    assert {(row["image"], row["metric"]): float(row["value"]) for row in rows} == {
        (name, column): value for column, by_name in summary.values.items() for name, value in by_name.items()
    }
    content = json.loads((folders[2] / "summary.json").read_text())
    assert content["metrics"]["LPIPS-ST"]["version"].startswith("stlpips_pytorch")
    assert len(content["metrics"]["LPIPS-ST"]["weights"]) == len(content["metrics"]["NIQE"]["weights"]) == 64
    assert content["metrics"]["PSNR"]["settings"] == "Y of BT.601, crop_border 4"
    assert content["versions"]["basicsr"] == "1.4.2"
    assert (
        f"| PSNR | {described.mean:.2f} | {described.std:.2f} | 3 | higher | Y of BT.601, crop_border 4 |"
        in " ".join(format_markdown(summary).split())
    )


def test_two_processes_equal_one(folders, tmp_path):
    one = evaluate_folder(*folders[:2], PIXELS, folders[2], workers=1, device="cpu")
    two = evaluate_folder(*folders[:2], PIXELS, tmp_path / "two", workers=2, device="cpu")
    assert one.values == two.values
    assert list(one.values["PSNR"]) == list(NAMES)


def test_kept_scores_are_used_while_nothing_changed(folders):
    def run(specs=PIXELS[:2]):
        return evaluate_folder(*folders[:2], specs, folders[2], workers=1, device="cpu").values["PSNR"]

    run()
    store = folders[2] / evaluation.STORE
    lines = store.read_text().splitlines()
    assert len(lines) == 7
    lines[1] = lines[1].rpartition(",")[0] + ",99.5"
    store.write_text("\n".join(lines[:-1]) + "\n" + lines[-1][:-30])  # as if killed while writing the last
    assert run()["a"] == 99.5
    assert len(made(folders)) == 6
    os.utime(folders[0] / "a_x4.png", (1e9, 1e9))
    os.utime(folders[1] / "b.png", (1e9, 1e9))
    assert run()["a"] == pytest.approx(calculate_psnr(*images(folders, "a"), 4, test_y_channel=True))
    assert len(made(folders)) == 10
    run((MetricSpec("psnr", {**Y4, "crop_border": 3}),))
    assert len(made(folders)) == 13
    store.write_text("other,columns\n")
    with pytest.raises(OptionError, match=r"made_scores.csv"):
        run()


def test_bad_images_are_named_and_the_rest_goes_on(folders):
    (folders[0] / "b_x4.png").write_bytes(b"no image")
    (folders[1] / "c.png").write_bytes((folders[1] / "c.png").read_bytes()[:300])  # the header is whole
    summary = evaluate_folder(*folders[:2], PIXELS, folders[2], workers=1, device="cpu")
    assert not summary.complete
    assert set(summary.failed) == {"b", "c"}
    assert len(summary.failed["b"]) == 1
    assert "b_x4.png" in summary.failed["b"][0]
    assert set(summary.values["PSNR"]) == {"a"}
    assert set(summary.values["NIQE"]) == {"a", "c"}
    text = format_markdown(summary)
    assert "| **1 of 3** |" in text
    assert "PSNR, SSIM, NIQE" in text
    assert "2 failures:" in text


def test_a_folder_that_inference_is_still_filling(folders):
    since = (folders[0] / "b_x4.png").stat().st_mtime_ns
    (folders[0] / ".infer.json").write_text(json.dumps({"since": since, "settings": {"weights": "other"}}))
    os.utime(folders[0] / "a_x4.png", ns=(since - 1, since - 1))  # made with the weights before
    with pytest.raises(MatchingError, match=r"1 of 3 .*: a_x4\.png"):
        evaluate_folder(*folders[:2], PIXELS, folders[2], workers=1, device="cpu")
    os.utime(folders[0] / "a_x4.png", ns=(since, since))
    assert evaluate_folder(*folders[:2], PIXELS[:1], folders[2], workers=1, device="cpu").complete


def test_an_image_that_is_replaced_meanwhile_has_no_score(folders, monkeypatch):
    run_pixels = image_scores.run_pixels

    def replaced(*arguments):
        run_pixels(*arguments)
        os.utime(folders[0] / "b_x4.png", (1e9, 1e9))

    monkeypatch.setattr(image_scores, "run_pixels", replaced)
    summary = evaluate_folder(*folders[:2], PIXELS[:1], folders[2], workers=1, device="cpu")
    assert set(summary.values["PSNR"]) == {"a", "c"}
    assert list(summary.failed) == ["b"]
    monkeypatch.undo()
    assert evaluate_folder(*folders[:2], PIXELS[:1], folders[2], workers=1, device="cpu").complete


def test_failures_of_one_metric_leave_the_others(folders, tmp_path):
    for folder in folders[:2]:
        for path in folder.iterdir():
            cv2.imwrite(str(path), cv2.imread(str(path))[:40, :60])
    specs = (*PIXELS, MetricSpec("natural-scene", {}), MetricSpec("lpips-st", {"crop_border": 20}))
    summary = evaluate_folder(*folders[:2], specs, folders[2], workers=1, device="cpu", batch=3)
    assert {column: metric.count for column, metric in summary.metrics.items()} == {
        "PSNR": 3, "SSIM": 3, "NIQE": 0, "natural-scene": 0, "LPIPS-ST": 0,
    }  # fmt: skip
    assert summary.metrics["NIQE"].mean is None
    assert any("natural_scene" in message and "96" in message for message in summary.failed["a"])
    assert any("crop_border 20" in message for message in summary.failed["a"])
    (told,) = [message for message in summary.failed["a"] if "NIQE" in message]
    assert "a_x4.png" in told and "96 x 192" in told and "got 52 x 32" in told
    specs = (MetricSpec("lpips-st", {"crop_border": 10}),)
    summary = evaluate_folder(*folders[:2], specs, tmp_path / "lpips", workers=1, device="cpu")
    assert "a_x4.png" in summary.failed["a"][0] and "21 x 21" in summary.failed["a"][0]


def test_a_score_that_is_no_number_is_a_failure():
    outcome = Outcome()
    outcome.keep(Unit("a", -1, "NIQE"), float("nan"))
    outcome.keep(Unit("b", 0, "PSNR"), float("inf"))
    assert outcome.values == {Unit("b", 0, "PSNR"): float("inf")}
    outcome.keep(Unit("c", -1, "NIQE"), float("inf"))
    assert set(outcome.failures) == {"a", "c"}


def test_equal_images(folders):
    (folders[0] / "a_x4.png").write_bytes((folders[1] / "a.png").read_bytes())
    summary = evaluate_folder(*folders[:2], PIXELS[:2], folders[2], workers=1, device="cpu")
    assert summary.values["SSIM"]["a"] == pytest.approx(1)
    assert json.loads((folders[2] / "summary.json").read_text())["metrics"]["PSNR"]["mean"] == "inf"
    again = evaluate_folder(*folders[:2], PIXELS[:2], folders[2], workers=1, device="cpu")
    assert again.values == summary.values
    assert len(made(folders)) == 6


def test_mean_over_positive_versions_then_images(folders):
    sr, gt, output = folders
    rng = np.random.default_rng(0)
    for name in NAMES:
        image = cv2.imread(str(gt / f"{name}.png"))
        for version in ("original", "01", "02"):
            tail = "" if version == "original" else f"_{version}"
            noisy = np.clip(image + rng.integers(-20, 21, image.shape), 0, 255).astype(np.uint8)
            write_png_atomic(gt.parent / "hggt" / version / f"{name}{tail}.png", noisy)
    labels = gt.parent / "labels.csv"
    rows = [
        "a,01,Positive,3",
        "a,02,Positive,2",
        "b,01,Negative,2",
        "b,02,Positive,3",
        "c,01,Positive,3",
        "c,02,Similar,1",
    ]
    labels.write_text("\n".join(["name,version,label,votes", *rows]) + "\n")
    protocol = Protocol("x", "x", (MetricSpec("psnr", {"crop_border": 4}), MetricSpec("niqe", {})), "positives")
    summary = evaluate_folder(sr, gt.parent / "hggt", protocol, output, workers=1, device="cpu", labels=labels)

    def single(name, version):
        other = cv2.imread(str(gt.parent / "hggt" / version / f"{name}_{version}.png"))
        return calculate_psnr(images(folders, name)[0], other, 4)

    expected = [(single("a", "01") + single("a", "02")) / 2, single("b", "02"), single("c", "01")]
    assert list(summary.values["PSNR"].values()) == pytest.approx(expected)
    assert summary.metrics["PSNR"].mean == pytest.approx(np.mean(expected))
    assert len(made(folders)) == 4 + 3
    (gt.parent / "hggt" / "02" / "a_02.png").write_bytes(b"no image")
    summary = evaluate_folder(sr, gt.parent / "hggt", protocol, output, workers=1, device="cpu", labels=labels)
    assert list(summary.values["PSNR"]) == ["b", "c"]  # no mean over what is left
    with pytest.raises(OptionError, match=r"fid .*--references positives"):
        fid = Protocol("x", "x", (MetricSpec("fid", {}),), "positives")
        evaluate_folder(sr, gt.parent / "hggt", fid, output, labels=labels, device="cpu")


def test_mean_over_the_lrs_of_an_image_then_images(folders):
    sr, gt, output = folders
    for name in NAMES:
        (sr / f"{name}_x4.png").rename(sr / f"{name}+1.png")
    write_png_atomic(sr / "a+2.png", cv2.imread(str(gt / "a.png")) // 2)
    protocol = Protocol("x", "x", PIXELS[:1], several=True)
    summary = evaluate_folder(sr, gt, protocol, output, workers=1, device="cpu")
    values = summary.values["PSNR"]
    means = [(values["a+1"] + values["a+2"]) / 2, values["b+1"], values["c+1"]]
    assert summary.metrics["PSNR"].mean == pytest.approx(np.mean(means))
    assert summary.metrics["PSNR"].std == pytest.approx(np.std(means))
    assert summary.metrics["PSNR"].count == 4


class Tiny(nn.Module):
    """A random network with the signature of pyiqa's Inception."""

    def __init__(self, seed=0):
        super().__init__()
        torch.manual_seed(seed)
        self.conv = nn.Conv2d(3, 5, 9, 16)

    def forward(self, images, resize, normalize):
        return [self.conv(images).relu().mean((2, 3), keepdim=True)]


def test_fid_is_made_once(folders, monkeypatch):
    monkeypatch.setattr(evaluation_metrics, "build_inception", lambda: (Tiny().eval(), "tiny 1"))
    spec = MetricSpec("fid", {"patches": 100})
    summary = evaluate_folder(*folders[:2], [spec], folders[2], device="cpu")
    fid = summary.metrics["FID"]
    assert fid.mean > 0
    assert (fid.std, fid.count, fid.better, len(fid.weights)) == (None, 3, "lower", 64)
    assert fid.settings == "patches of 100 x 100, mode clean"
    monkeypatch.setattr(evaluation, "extract_features", None)
    assert evaluate_folder(*folders[:2], [spec], folders[2], device="cpu").metrics["FID"].mean == fid.mean
    monkeypatch.undo()
    monkeypatch.setattr(evaluation_metrics, "build_inception", lambda: (Tiny(1).eval(), "tiny 1"))
    other = evaluate_folder(*folders[:2], [spec], folders[2], device="cpu").metrics["FID"]
    assert other.mean != fid.mean  # other weights
    assert other.weights != fid.weights
    (folders[0] / "b_x4.png").write_bytes(b"no image")
    summary = evaluate_folder(*folders[:2], [spec], folders[2], device="cpu")
    assert summary.metrics["FID"].mean is None
    assert not summary.complete
    assert "b_x4.png" in summary.failed["FID"][0]


def test_missing_weights_end_the_run_before_it_starts(folders, monkeypatch):
    def lacking(spec):
        if spec.metric in ("dists", "musiq"):
            raise WeightsError(f"fetch {spec.metric}.pth and put it there")
        return make_scorer(spec)

    monkeypatch.setattr(evaluation_metrics, "make_scorer", lacking)
    specs = (MetricSpec("dists"), *PIXELS[:1], MetricSpec("musiq"))
    with pytest.raises(UserError, match=r"(?s)DISTS: fetch dists.pth.*MUSIQ: fetch musiq.pth"):
        evaluate_folder(*folders[:2], specs, folders[2], device="cpu")
    assert not folders[2].exists()
    summary = evaluate_folder(*folders[:2], specs, folders[2], workers=1, device="cpu", skip_missing=True)
    assert list(summary.metrics) == ["PSNR"]
    assert summary.missing == {name.upper(): f"fetch {name}.pth and put it there" for name in ("dists", "musiq")}
    assert summary.complete
    assert "| DISTS | not run |" in " ".join(format_markdown(summary).split())
    with pytest.raises(UserError, match=r"(?s)DISTS.*MUSIQ"):
        evaluate_folder(*folders[:2], specs[::2], folders[2], device="cpu", skip_missing=True)
    assert "MUSIQ" not in json.loads((folders[2] / "summary.json").read_text())["metrics"]


def test_processes_of_several_devices_do_the_same(folders):
    """What a process of `--device cuda:0,cuda:1` does, here in this process."""
    items = match(*folders[:2])
    spec = MetricSpec("natural-scene", {})
    sizes = {"a": (204, 204), "b": (204, 204)}
    jobs = [(item, (Unit(item.name, -1, "natural-scene"),)) for item in items]
    work = split_batches(jobs, sizes, 8)
    assert [[item.name for item, _ in batch] for batch in work] == [["a", "b"], ["c"]]
    assert [len(batch) for batch in split_batches(jobs, sizes, 1)] == [1, 1, 1]
    outcomes = [outcome for _, outcome in evaluation_running._score_share(work, [spec], "equal", "cpu")]
    found = {unit.name: value for outcome in outcomes for unit, value in outcome.values.items()}
    summary = evaluate_folder(*folders[:2], [spec], folders[2], device="cpu", batch=1)
    assert summary.values["natural-scene"] == pytest.approx(found, rel=1e-5)


def test_pyiqas_variant_rounds_y_for_ssim_alone(folders):
    settings = {"y_channel": True, "variant": "pyiqa"}
    specs = (MetricSpec("psnr", settings), MetricSpec("ssim", settings))
    summary = evaluate_folder(*folders[:2], specs, folders[2], workers=1, device="cpu")
    pair = images(folders, "a")
    exact, rounded = ([planes(image, 0, True, how) for image in pair] for how in (False, True))
    assert summary.values["PSNR"]["a"] == psnr(*exact, offset=1e-8)
    assert summary.values["SSIM"]["a"] == ssim(*rounded, clipped=True)
    assert summary.metrics["SSIM"].settings.startswith("Y of BT.601, pyiqa's (rounded")


@pytest.mark.parametrize(
    ("specs", "message"),
    [
        ([MetricSpec("psnrr")], "'psnrr'; did you mean 'psnr'"),
        ([MetricSpec("niqe"), MetricSpec("niqe-pyiqa")], "niqe and niqe-pyiqa .*NIQE"),
        ([], "psnr, ssim"),
        ([MetricSpec("psnr", {"net": "alex"})], "psnr: net: "),
        ([MetricSpec("psnr", {"crop_border": -1})], "psnr: crop_border: .*-1"),
        ([MetricSpec("ssim", {"variant": "x"})], "ssim: variant: .*basicsr.*pyiqa.*'x'"),
        ([MetricSpec("fid", {"mode": "old"})], "fid: mode: .*clean.*legacy_pytorch.*'old'"),
        ([MetricSpec("natural-scene", {"net": 1})], "natural_scene .*'net'"),
    ],
)
def test_wrong_metrics(folders, specs, message):
    with pytest.raises(OptionError, match=message):
        evaluate_folder(*folders[:2], specs, folders[2], device="cpu")


def test_what_does_not_fit_is_told_before_anything_runs(folders):
    with pytest.raises(OptionError, match=r"psnr, ssim .*--gt.*--metrics niqe"):
        evaluate_folder(folders[0], None, PIXELS, folders[2], device="cpu")
    assert evaluate_folder(folders[0], None, PIXELS[2:], folders[2], workers=1, device="cpu").complete
    write_png_atomic(folders[0] / "b_x4.png", np.zeros((200, 204, 3), np.uint8))
    with pytest.raises(MatchingError, match=r"b_x4\.png .*204 x 200 .*b\.png 204 x 204"):
        evaluate_folder(*folders[:2], PIXELS, folders[2], device="cpu")
    cropped = Protocol("x", "x", PIXELS[:1], align="crop")
    summary = evaluate_folder(*folders[:2], cropped, folders[2], workers=1, device="cpu")
    sr, gt = images(folders, "b")
    assert summary.values["PSNR"]["b"] == pytest.approx(calculate_psnr(sr, gt[:200], 4, test_y_channel=True))


def test_devices():
    assert resolve_devices("cpu,cpu") == ["cpu", "cpu"]
    with pytest.raises(OptionError, match="--device abacus"):
        resolve_devices("abacus")
    with pytest.raises(OptionError, match="--device cuda:63"):
        resolve_devices("cuda:63")
