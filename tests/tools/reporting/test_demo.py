import json
from dataclasses import replace

from prismsr.models.training.log import write_log
from prismsr.tools.reporting.demo import compare_rivals, fit_title, write_report
from prismsr.tools.reporting.demonstrations import FIRST

import cv2
import numpy as np
import pytest
import torch
import yaml
from basicsr.archs import build_network
from PIL import ImageFont
from report_case import Page, read_image, write_image


def test_demo_writes_the_page(tmp_path, photograph):
    gt, val = photograph[40:240, 60:260], tmp_path / "datasets" / "demo" / "val"
    write_image(val / "HR" / "cat.png", gt)
    write_image(val / "LR" / "cat.png", cv2.resize(gt, (50, 50), interpolation=cv2.INTER_AREA))
    network = {"type": "MSRResNet", "num_feat": 4, "num_block": 1, "upscale": 4}
    roots = {"dataroot_gt": "datasets/demo/val/HR", "dataroot_lq": "datasets/demo/val/LR"}
    data = {"val": {**roots, "type": "PairedImageMaskDataset", "name": "v"}}
    files = {}
    for seed, method in enumerate(("l1", "gan", "gan_ssl")):
        torch.manual_seed(seed)
        options = {"name": f"demo_{method}", "scale": 4, "network_g": network, "datasets": data, "train": {}}
        files[method] = tmp_path / f"{method}.yml"
        files[method].write_text(yaml.safe_dump({**options, "model_type": "PrismSRModel"}))
        folder = tmp_path / "experiments" / f"demo_{method}"
        (folder / "models").mkdir(parents=True)
        torch.save({"params_ema": build_network(dict(network)).state_dict()}, folder / "models" / "net_g_latest.pth")
        write_log(folder / "losses.csv", [{"iter": "1", "l_pix": "1"}])
    out = tmp_path / "results" / "demo"
    shown = replace(FIRST, shown={method: file.name for method, file in files.items()})
    write_report(tmp_path, out, shown, tmp_path, {"data": 1.0})
    report, page = json.loads((out / "report.json").read_text()), Page((out / "report.html").read_text())
    assert page.cells()[0] == ["method", "PSNR ↑", "SSIM ↑", "NIQE ↓", "LPIPS-ST ↓", "self_similarity ↓", "grid ↓"]
    titles = ("bicubic", "L1", "GAN", "GAN + SSL", "GT")
    for row, method, title in zip(page.cells()[1:], report["mean"], titles, strict=True):
        values = report["mean"][method]
        assert report["images"]["cat"][method] == pytest.approx(values)
        digits = dict(zip(shown.metrics, (2, 4, 4, 4, 4, 2), strict=True))
        assert row == [title, *(f"{values[name]:.{digits[name]}f}" if name in values else "–" for name in digits)]
        assert f"| **mean** | {title} " in (out / "report.md").read_text()
    sentence = compare_rivals(report["mean"], shown.rivals, shown.titles)
    assert sentence in (out / "report.md").read_text() and sentence in page.text
    assert all(one in page.text for one in (*shown.about, shown.look, "of the edge pixels the self-similarity graph"))
    made = (out / "sr" / "l1" / "cat.png").stat().st_mtime_ns
    write_report(tmp_path, out, shown, tmp_path, {"data": 1.0})
    assert (out / "sr" / "l1" / "cat.png").stat().st_mtime_ns == made
    assert page.find_panels() == ["LQ", "bicubic", "L1", "GAN", "GAN + SSL", "GT"]
    assert len(page.find("svg")) == 1 and "Missing" not in page.text
    picture = read_image(out / "comparison.png")  # LQ, four methods, GT: 96 pixels of each, enlarged 3 times
    assert picture.shape[1] == 6 * (288 + 6) + 6
    assert read_image(out / "strip.png").shape[1] == 6 * (192 + 6) + 6
    corner = picture[6 + 16 : 6 + 16 + 288 : 3, 6 + 5 * 294 : 6 + 5 * 294 + 288 : 3]
    places = np.lib.stride_tricks.sliding_window_view(gt, (96, 96, 3)).reshape(-1, 96, 96, 3)
    assert (places == corner).all(axis=(1, 2, 3)).any()


def test_titles_stay_in_their_column():
    font = ImageFont.load_default(13)
    assert fit_title("chelsea", "GAN + SSL", font, 192) == "chelsea: GAN + SSL"
    assert fit_title("chelsea", "GAN + SSL", font, 100) == "GAN + SSL"
    short = fit_title("chelsea", "GAN with a self-similarity loss", font, 100)
    assert short.startswith("GAN with") and short.endswith("...") and 80 < font.getlength(short) <= 100
