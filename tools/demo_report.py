"""The demo's report: figures of bicubic and both models on unseen photographs, and a picture of crops side by side."""

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prismsr.data.image_source import open_source
from prismsr.utils.images import decode_image
from prismsr.utils.option_files import load_options

import cv2
import numpy as np
import torch
from basicsr.archs import build_network
from basicsr.metrics import calculate_metric
from basicsr.utils import tensor2img
from basicsr.utils.matlab_functions import imresize
from PIL import Image, ImageDraw, ImageFont

Images = dict[str, np.ndarray]
METRIC_NAMES = {"psnr": "psnr_y", "ssim": "ssim_y", "niqe": "niqe", "lpips_st": "lpips_st"}
TITLES = {"lr": "LR (nearest)", "bicubic": "bicubic", "l1": "L1", "gan_ssl": "GAN + SSL", "gt": "GT"}
CROP = 96  # pixels of GT
ZOOM = 3
# where the methods can be told apart: left, top of a crop in GT pixels
CROPS = {"astronaut": [(176, 44), (124, 338)], "chelsea": [(150, 90), (96, 160)], "coffee": [(130, 190), (330, 210)]}


def write_report(repository: Path, option_files: Mapping[str, Path], seconds: dict[str, float]) -> None:
    """Write results/demo/{report.json, report.md, comparison.png}.

    Args:
        repository: root of the repository.
        option_files: option file of each trained model, by its name in the report.
        seconds: measured duration of each step.
    """
    out = repository / "results" / "demo"
    out.mkdir(parents=True, exist_ok=True)
    options = {name: load_options(path) for name, path in option_files.items()}
    networks = {name: _load_network(repository, opt) for name, opt in options.items()}
    val = next(iter(options.values()))["datasets"]["val"]
    images = _all_images(repository, val, networks)
    metrics = next(iter(options.values()))["val"]["metrics"]
    figures = {key: _measure(variants, metrics) for key, variants in images.items()}
    report = {
        "images": figures,
        "mean": {
            method: {
                name: float(np.mean([figures[key][method][name] for key in figures])) for name in METRIC_NAMES.values()
            }
            for method in ("bicubic", *networks)
        },
        "seconds": seconds,
        "commit": _commit(repository),
    }
    (out / "report.json").write_text(json.dumps(report, indent=2) + "\n")
    (out / "report.md").write_text(_markdown(report))
    _comparison(images, figures).save(out / "comparison.png")
    print(_markdown(report))


def _load_network(repository: Path, opt: dict[str, Any]) -> torch.nn.Module:
    network = build_network(opt["network_g"])
    state = torch.load(repository / "experiments" / opt["name"] / "models" / "net_g_latest.pth", weights_only=True)
    network.load_state_dict(state.get("params_ema", state["params"]))
    return network.eval()


@torch.no_grad()
def _all_images(repository: Path, val: dict[str, Any], networks: Mapping[str, torch.nn.Module]) -> dict[str, Images]:
    """BGR uint8 images of each validation photograph: gt, lr (enlarged by repetition), bicubic and every network's."""
    gt, lq = (open_source(repository / val[root]) for root in ("dataroot_gt", "dataroot_lq"))
    result = {}
    for key in gt.keys():  # noqa: SIM118  (a source is not a mapping)
        small = decode_image(lq.read(key), lq.describe(key))
        tensor = torch.from_numpy(small[..., ::-1].astype(np.float32) / 255).permute(2, 0, 1).unsqueeze(0)
        variants = {
            "lr": small.repeat(4, 0).repeat(4, 1),
            "bicubic": np.clip(np.round(imresize(small.astype(np.float32) / 255, 4) * 255), 0, 255).astype(np.uint8),
        }
        variants |= {name: tensor2img(network(tensor)) for name, network in networks.items()}
        result[key] = {**variants, "gt": decode_image(gt.read(key), gt.describe(key))}
    return result


def _measure(variants: Images, metrics: dict[str, dict]) -> dict[str, dict[str, float]]:
    """Every metric of the option file for each method against GT."""
    figures: dict[str, dict[str, float]] = {}
    for method in variants.keys() - {"lr", "gt"}:
        data = {"img": variants[method], "img2": variants["gt"]}
        figures[method] = {
            METRIC_NAMES[name]: float(calculate_metric(data, {k: v for k, v in entry.items() if k != "better"}))
            for name, entry in metrics.items()
        }
    return figures


def _commit(repository: Path) -> str | None:
    """Hash of the commit, with "+changes" where the working tree differs from it; None outside git."""

    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=repository, capture_output=True, text=True, check=True).stdout

    try:
        return git("rev-parse", "HEAD").strip() + ("+changes" if git("status", "--porcelain").strip() else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def _markdown(report: dict[str, Any]) -> str:
    lines = ["# Demo report", "", f"Commit {report['commit']}; seconds: {report['seconds']}.", ""]
    lines += ["PSNR and SSIM on Y, NIQE on Y, LPIPS-ST on RGB (AlexNet); border of 4 pixels left out.", ""]
    lines += ["| image | method | PSNR-Y (dB) ↑ | SSIM-Y ↑ | NIQE ↓ | LPIPS-ST ↓ |", "|---|---|---|---|---|---|"]
    for key, methods in [*report["images"].items(), ("**mean**", report["mean"])]:
        for method in report["mean"]:
            values = methods[method]
            lines.append(
                f"| {key} | {TITLES[method]} | {values['psnr_y']:.2f} | {values['ssim_y']:.4f} | {values['niqe']:.2f} "
                f"| {values['lpips_st']:.4f} |"
            )
    return "\n".join([*lines, "", "![comparison](comparison.png)", ""])


def _comparison(images: dict[str, Images], figures: dict[str, dict[str, dict[str, float]]]) -> Image.Image:
    """Crops of every method side by side, a row each, with PSNR-Y and LPIPS-ST of the whole image below."""
    rows = [(key, corner) for key in images for corner in CROPS.get(key, [_busiest(images[key])])]
    side, line, gap = CROP * ZOOM, 16, 6
    height = line + gap + len(rows) * (side + 2 * line + gap)
    canvas = Image.new("RGB", (len(TITLES) * (side + gap) + gap, height), "white")
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(13)
    for row, (key, (left, top)) in enumerate(rows):
        y = line + gap + row * (side + 2 * line + gap)
        for column, (method, title) in enumerate(TITLES.items()):
            x = gap + column * (side + gap)
            crop = images[key][method][top : top + CROP, left : left + CROP, ::-1]
            canvas.paste(
                Image.fromarray(cv2.resize(crop, (side, side), interpolation=cv2.INTER_NEAREST)), (x, y + line)
            )
            draw.text((x, y), f"{key}: {title}", "black", font)
            if method in figures[key]:
                values = figures[key][method]
                text = f"{values['psnr_y']:.2f} dB, LPIPS-ST {values['lpips_st']:.3f}"
                draw.text((x, y + line + side), text, "black", font)
    return canvas


def _busiest(variants: Images) -> tuple[int, int]:
    """Left, top of the crop in which the methods differ most."""
    difference = np.abs(variants["gan_ssl"].astype(np.float32) - variants["bicubic"]).mean(axis=2)
    sums = cv2.boxFilter(difference, -1, (CROP, CROP), anchor=(0, 0), borderType=cv2.BORDER_CONSTANT)
    top, left = np.unravel_index(np.argmax(sums[: -CROP + 1, : -CROP + 1]), sums[: -CROP + 1, : -CROP + 1].shape)
    return int(left), int(top)
