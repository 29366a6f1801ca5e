"""Write the demo's report: figures of bicubic and both models on unseen photographs, and crops side by side."""

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from prismsr.data.images.source import FolderSource, open_source
from prismsr.tools.evaluation.columns import MetricSpec
from prismsr.tools.evaluation.folder import evaluate_folder
from prismsr.tools.evaluation.summary import Summary
from prismsr.tools.inference.folder import infer_folder, load_generator
from prismsr.tools.reporting.build import write_report as write_page
from prismsr.tools.reporting.crops import CropOptions, Place, find_most_different
from prismsr.utils.errors import JobError
from prismsr.utils.images import IMAGE_SUFFIXES, decode_image, read_image, write_png_atomic
from prismsr.utils.options.files import load_options
from prismsr.utils.tables import markdown_table

import numpy as np
from basicsr.utils.matlab_functions import imresize
from PIL import Image, ImageDraw, ImageFont

Images = dict[str, np.ndarray]
SPECS = {
    "psnr_y": MetricSpec("psnr", {"y_channel": True, "crop_border": 4}),
    "ssim_y": MetricSpec("ssim", {"y_channel": True, "crop_border": 4}),
    "niqe": MetricSpec("niqe", {"crop_border": 4}),
    "lpips_st": MetricSpec("lpips-st", {"crop_border": 4, "net": "alex"}),
}
"""What the option files' validation measures."""
DIGITS = {"psnr_y": 2, "ssim_y": 4, "niqe": 2, "lpips_st": 4}
TITLES = {"lr": "LR (nearest)", "bicubic": "bicubic", "l1": "L1", "gan_ssl": "GAN + SSL", "gt": "GT"}
CROP = 96  # pixels of GT
ZOOM = 3
# where the methods can be told apart: left, top of a crop in GT pixels
CROPS = {"astronaut": [(176, 44), (124, 338)], "chelsea": [(150, 90), (96, 160)], "coffee": [(130, 190), (330, 210)]}


def write_report(repository: Path, option_files: Mapping[str, Path], seconds: dict[str, float]) -> None:
    """Write results/demo/{report.html, report.json, report.md, comparison.png}, the SR images and their evaluations.

    Args:
        repository: root of the repository.
        option_files: option file of each trained model, by its name in the report.
        seconds: measured duration of each step.
    """
    out = repository / "results" / "demo"
    val = load_options(next(iter(option_files.values())))["datasets"]["val"]
    gt, lq = (repository / val[root] for root in ("dataroot_gt", "dataroot_lq"))
    _make_images(repository, out, option_files, lq)
    methods = ["bicubic", *option_files]
    found = {
        method: evaluate_folder(out / "sr" / method, gt, list(SPECS.values()), out / "evaluation" / method, 1, "cpu")
        for method in methods
    }
    figures = _list_figures(found)
    report = {"images": figures, "mean": _list_means(found), "seconds": seconds, "commit": _read_commit(repository)}
    (out / "report.json").write_text(json.dumps(report, indent=2) + "\n")
    (out / "report.md").write_text(_write_markdown(report))
    _draw_comparison(_read_images(out, methods, gt, lq), figures).save(out / "comparison.png")
    _write_page(repository, out, option_files, lq)
    print(_write_markdown(report))


def _make_images(repository: Path, out: Path, option_files: Mapping[str, Path], lq: Path) -> None:
    """SR images of every method below results/demo/sr."""
    source = open_source(lq)
    for key in source.keys():  # noqa: SIM118  (a source is not a mapping)
        small = decode_image(source.read(key), source.describe(key)).astype(np.float32) / 255
        large = np.clip(np.round(imresize(small, 4) * 255), 0, 255).astype(np.uint8)
        write_png_atomic(out / "sr" / "bicubic" / f"{key}.png", large)
    for method, file in option_files.items():
        generator = load_generator(file, device="cpu", root=repository)
        report = infer_folder(generator, [lq], out / "sr" / method, overwrite=True, progress=False)
        if report.failed:
            raise JobError("; ".join(report.failed))


def _list_figures(found: Mapping[str, Summary]) -> dict[str, dict[str, dict[str, float]]]:
    """Figures by image, method and metric."""
    images = next(iter(found.values())).values[next(iter(SPECS.values())).column]
    return {
        image: {
            method: {name: summary.values[spec.column][image] for name, spec in SPECS.items()}
            for method, summary in found.items()
        }
        for image in images
    }


def _list_means(found: Mapping[str, Summary]) -> dict[str, dict[str, float | None]]:
    return {
        method: {name: summary.metrics[spec.column].mean for name, spec in SPECS.items()}
        for method, summary in found.items()
    }


def _read_images(out: Path, methods: Sequence[str], gt: Path, lq: Path) -> dict[str, Images]:
    """BGR uint8 images of each validation photograph: lr (enlarged by repetition), the methods', gt."""
    result = {}
    for key, path in FolderSource(gt, IMAGE_SUFFIXES).paths.items():
        small = read_image(lq / f"{key}.png")
        made = {method: read_image(out / "sr" / method / f"{key}.png") for method in methods}
        result[key] = {"lr": small.repeat(4, 0).repeat(4, 1), **made, "gt": read_image(path)}
    return result


def _write_page(repository: Path, out: Path, option_files: Mapping[str, Path], lq: Path) -> None:
    """results/demo/report.html."""
    write_page(
        out / "evaluation",
        out / "report.html",
        "PRISM-SR demo",
        CropOptions(lq={"demo": lq}, bases=(repository,)),
        methods=[f"{method}={TITLES[method]}" for method in ("bicubic", *option_files)],
        experiments=[repository / "experiments" / load_options(file)["name"] for file in option_files.values()],
    )


def _read_commit(repository: Path) -> str | None:
    """Hash of the commit, with "+changes" where the working tree differs from it; None outside git."""

    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=repository, capture_output=True, text=True, check=True).stdout

    try:
        return git("rev-parse", "HEAD").strip() + ("+changes" if git("status", "--porcelain").strip() else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def _write_markdown(report: dict[str, Any]) -> str:
    header = ["image", "method", "PSNR-Y (dB) ↑", "SSIM-Y ↑", "NIQE ↓", "LPIPS-ST ↓"]
    rows = [
        [key, TITLES[method], *(f"{methods[method][name]:.{digits}f}" for name, digits in DIGITS.items())]
        for key, methods in [*report["images"].items(), ("**mean**", report["mean"])]
        for method in report["mean"]
    ]
    return f"""# Demo report

Commit {report["commit"]}; seconds: {report["seconds"]}.

PSNR and SSIM on Y, NIQE on Y, LPIPS-ST on RGB (AlexNet); border of 4 pixels left out.

{markdown_table(header, rows, "llrrrr")}

![comparison](comparison.png)
"""


def _draw_comparison(images: dict[str, Images], figures: dict[str, dict[str, dict[str, float]]]) -> Image.Image:
    """Crops of every method side by side, a row each, with PSNR-Y and LPIPS-ST of the whole image below."""
    rows = [(key, corner) for key in images for corner in CROPS.get(key) or _find_corners(images[key])]
    side, line, gap = CROP * ZOOM, 16, 6
    height = line + gap + len(rows) * (side + 2 * line + gap)
    canvas = Image.new("RGB", (len(TITLES) * (side + gap) + gap, height), "white")
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(13)
    for row, (key, (left, top)) in enumerate(rows):
        y = line + gap + row * (side + 2 * line + gap)
        for column, (method, title) in enumerate(TITLES.items()):
            x = gap + column * (side + gap)
            crop = images[key][method][top : top + CROP, left : left + CROP, ::-1]
            canvas.paste(Image.fromarray(crop.repeat(ZOOM, 0).repeat(ZOOM, 1)), (x, y + line))
            draw.text((x, y), f"{key}: {title}", "black", font)
            if method in figures[key]:
                values = figures[key][method]
                text = f"{values['psnr_y']:.2f} dB, LPIPS-ST {values['lpips_st']:.3f}"
                draw.text((x, y + line + side), text, "black", font)
    return canvas


def _find_corners(variants: Images) -> list[Place]:
    return [find_most_different([variants["bicubic"], variants["gan_ssl"]], CROP)[1]]
