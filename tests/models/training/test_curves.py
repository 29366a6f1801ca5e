from prismsr.models.training import curves
from prismsr.models.training.curves import plot_curves, smooth
from prismsr.models.training.log import read_log, write_log

import numpy as np
import pytest
from PIL import Image


def _write(folder, iterations=200, sets=("a", "b")):
    rng = np.random.default_rng(0)
    rows = []
    for i in range(1, iterations + 1):
        row = {"iter": str(i), "epoch": "0", "lr_0": repr(1e-4 if i < 150 else 5e-5)}
        row |= {"l_g_pix": repr(float(np.exp(-i / 40) + 0.001)), "l_g_gan": repr(0.1 * i) if i > 50 else ""}
        row |= {"l_d_real": "nan" if i == 7 else repr(float(rng.normal())), "l_d_fake": repr(float(rng.normal()))}
        rows.append(row)
    write_log(folder / "losses.csv", rows)
    values = {"psnr": [20.0, 25.0, 24.0], "niqe": [6.0, 4.5, 5.0], "other": [1.0, 2.0, 1.5]}
    metrics = [
        {"iter": str(iterations * (number + 1) // 3), "dataset": name, "metric": metric, "value": repr(value)}
        for metric, points in values.items()
        for number, value in enumerate(points)
        for name in sets
    ]
    write_log(folder / "metrics.csv", metrics)


def _axes(folder, better):
    losses = curves._loss_panels(read_log(folder / "losses.csv"))
    metrics = curves._metric_panels(read_log(folder / "metrics.csv"), better)
    return {axes.get_title(): axes for axes in curves._figure([losses, metrics]).axes}


def test_panels(tmp_path):
    _write(tmp_path)
    axes = _axes(tmp_path, {"psnr": "higher", "niqe": "lower"})
    losses = ["l_g_pix", "l_g_gan", "l_d  [1 not finite]", "learning rate"]
    assert list(axes) == [*losses, "psnr (dB) ↑", "niqe ↓", "other"]
    assert [axes[name].get_yscale() for name in losses] == ["log", "linear", "linear", "linear"]
    assert {one.get_xlim() for one in axes.values()} == {(0.0, 204.0)}
    assert all(one.get_xlabel() == "iteration" for one in axes.values())
    raw, smooth = axes["l_g_gan"].lines
    assert raw.get_xdata().min() == 51 and raw.get_alpha() < 1 and smooth.get_linewidth() > raw.get_linewidth()

    def labels(name):
        return [text.get_text() for text in axes[name].get_legend().get_texts()]

    assert labels("l_d  [1 not finite]") == ["real", "fake"]
    assert labels("psnr (dB) ↑") == ["a: best 25.00 at 133", "b: best 25.00 at 133"]
    assert labels("niqe ↓") == ["a: best 4.500 at 133", "b: best 4.500 at 133"]
    assert labels("other") == ["a", "b"]
    assert axes["learning rate"].get_legend() is None


def test_picture_is_written_again_and_again(tmp_path):
    _write(tmp_path, iterations=9)
    plot_curves(tmp_path, {"psnr": "higher"})
    first = (tmp_path / "losses.png").read_bytes()
    with Image.open(tmp_path / "losses.png") as picture:
        assert min(picture.size) > 400
        assert len(np.unique(np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0)) > 20
    plot_curves(tmp_path, {"psnr": "higher"})
    assert (tmp_path / "losses.png").read_bytes() == first
    _write(tmp_path, iterations=30)
    plot_curves(tmp_path, {"psnr": "higher"})
    assert (tmp_path / "losses.png").read_bytes() != first
    assert sorted(path.name for path in tmp_path.iterdir()) == ["losses.csv", "losses.png", "metrics.csv"]


@pytest.mark.parametrize("missing", ["losses.csv", "metrics.csv"])
def test_one_file_is_enough(tmp_path, missing):
    _write(tmp_path)
    (tmp_path / missing).unlink()
    plot_curves(tmp_path)
    assert (tmp_path / "losses.png").is_file()


def test_nothing_to_draw(tmp_path):
    plot_curves(tmp_path)
    assert not list(tmp_path.iterdir())


def test_values_that_are_not_finite(tmp_path):
    rows = [{"iter": str(i), "epoch": "0", "lr_0": "0.0", "l_pix": "inf" if i % 2 else "nan"} for i in range(1, 50)]
    write_log(tmp_path / "losses.csv", rows)
    write_log(tmp_path / "metrics.csv", [{"iter": "4", "dataset": "a", "metric": "psnr", "value": "inf"}])
    plot_curves(tmp_path, {"psnr": "higher"})
    assert (tmp_path / "losses.png").is_file()


def test_smooth():
    values = np.full(80, 2.0)
    assert np.allclose(smooth(values), 2.0)  # also at both ends
    values[40] = np.nan
    assert np.allclose(smooth(values), 2.0)
    noise = np.random.default_rng(0).normal(size=400)
    window = 2 * (400 // 40 // 2) + 1
    assert np.allclose(smooth(noise)[200], noise[200 - window // 2 : 200 + window // 2 + 1].mean())
    assert np.isnan(smooth(np.full(30, np.nan))).all()
