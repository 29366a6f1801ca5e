"""Write a demo's report: figures of bicubic and the trained models on unseen photographs, and crops side by side."""

import io
import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from prismsr.data.images.source import open_source
from prismsr.tools.evaluation.columns import MetricSpec
from prismsr.tools.evaluation.folder import evaluate_folder
from prismsr.tools.inference.folder import InferenceError, infer_folder, load_generator
from prismsr.tools.reporting.build import write_report as write_page
from prismsr.tools.reporting.crops import Comparison, CropOptions, compare
from prismsr.tools.reporting.demonstrations import Demonstration
from prismsr.tools.reporting.evaluations import read_results
from prismsr.tools.reporting.self_similarity import calculate_self_similarity
from prismsr.utils.errors import JobError
from prismsr.utils.images import decode_image, write_png_atomic
from prismsr.utils.options.files import load_options
from prismsr.utils.tables import markdown_table

import numpy as np
from basicsr.utils.matlab_functions import imresize
from PIL import Image, ImageDraw, ImageFont

NEAREST = Image.Resampling.NEAREST
SPECS = {
    "psnr_y": MetricSpec("psnr", {"y_channel": True, "crop_border": 4}),
    "ssim_y": MetricSpec("ssim", {"y_channel": True, "crop_border": 4}),
    "niqe": MetricSpec("niqe", {"crop_border": 4}),
    "lpips_st": MetricSpec("lpips-st", {"crop_border": 4, "net": "alex"}),
    "self_similarity": MetricSpec(calculate_self_similarity.__name__, {"crop_border": 4}),
}
"""What the option files' validation measures, and the value of the self-similarity loss."""
DIGITS = {"psnr_y": 2, "ssim_y": 4, "niqe": 2, "lpips_st": 4, "self_similarity": 3}
NAMES = {"psnr_y": "PSNR-Y", "ssim_y": "SSIM-Y", "niqe": "NIQE", "lpips_st": "LPIPS-ST"}
NAMES |= {"self_similarity": "self-similarity"}
HIGHER = ("psnr_y", "ssim_y")
CROP = 96  # pixels of GT
ZOOM = 3
# where the methods can be told apart: left, top of a crop in GT pixels
CROPS = {"astronaut": [(176, 44), (124, 338)], "chelsea": [(150, 90), (96, 160)], "coffee": [(130, 190), (330, 210)]}
STRIP = {"astronaut": [(176, 44)], "chelsea": [(150, 90)]}
"""A face and an eye, for the front page."""


def write_report(repository: Path, out: Path, shown: Demonstration, folder: Path, seconds: Mapping[str, float]) -> None:
    """Write report.html, report.json, report.md, comparison.png and strip.png, SR images and evaluations.

    Args:
        repository: root of the repository.
        out: folder of the results.
        shown: which models are compared.
        folder: of their option files.
        seconds: measured duration of each step.
    """
    option_files = {method: folder / file for method, file in shown.shown.items()}
    val = load_options(next(iter(option_files.values())))["datasets"]["val"]
    gt, lq = (repository / val[root] for root in ("dataroot_gt", "dataroot_lq"))
    _make_images(repository, out, option_files, lq)
    titles = {"bicubic": "bicubic", **shown.titles}
    methods = ["bicubic", *option_files]
    found = {
        method: evaluate_folder(out / "sr" / method, gt, list(SPECS.values()), out / "evaluation" / method, 1, "cpu")
        for method in methods
    }
    columns = {name: spec.column for name, spec in SPECS.items()}
    means = {
        method: {name: summary.metrics[column].mean for name, column in columns.items()}
        for method, summary in found.items()
    }
    figures = {
        image: {
            method: {name: summary.values[column][image] for name, column in columns.items()}
            for method, summary in found.items()
        }
        for image in found["bicubic"].values[columns["psnr_y"]]
    }
    report = {"images": figures, "mean": means, "seconds": seconds, "commit": _read_commit(repository)}
    (out / "report.json").write_text(json.dumps(report, indent=2) + "\n")
    text = _write_markdown(report, titles, shown.twins)
    (out / "report.md").write_text(text)
    print(text)
    named = [f"{method}={titles[method]}" for method in methods]
    experiments = [repository / "experiments" / load_options(file)["name"] for file in option_files.values()]
    options = CropOptions(lq={"demo": lq}, bases=(repository,))
    write_page(out / "evaluation", out / "report.html", shown.title, options, named, experiments)
    (group,) = read_results(out / "evaluation", named, [])
    draw_comparison(compare(group, replace(options, side=CROP, places=CROPS), [])).save(out / "comparison.png")
    few = replace(options, side=CROP, places=STRIP, max_images=len(STRIP))
    draw_comparison(compare(group, few, []), zoom=2).save(out / "strip.png", optimize=True)


def _make_images(repository: Path, out: Path, option_files: Mapping[str, Path], lq: Path) -> None:
    """Make the SR images of every method below OUT/sr; those of unchanged networks are kept."""
    source = open_source(lq)
    for key in source.keys():  # noqa: SIM118  (a source is not a mapping)
        small = decode_image(source.read(key), source.describe(key)).astype(np.float32) / 255
        large = np.clip(np.round(imresize(small, 4) * 255), 0, 255).astype(np.uint8)
        write_png_atomic(out / "sr" / "bicubic" / f"{key}.png", large)
    for method, file in option_files.items():
        generator = load_generator(file, device="cpu", root=repository)
        try:
            report = infer_folder(generator, [lq], out / "sr" / method, progress=False)
        except InferenceError:  # they are of another network
            report = infer_folder(generator, [lq], out / "sr" / method, overwrite=True, progress=False)
        if report.failed:
            raise JobError("; ".join(report.failed))


def _read_commit(repository: Path) -> str | None:
    """Return the hash of the commit, with "+changes" where the working tree differs from it; None outside git."""

    def run_git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=repository, capture_output=True, text=True, check=True).stdout

    try:
        return run_git("rev-parse", "HEAD").strip() + ("+changes" if run_git("status", "--porcelain").strip() else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def _write_markdown(report: dict[str, Any], titles: Mapping[str, str], twins: tuple[str, str] | None) -> str:
    header = ["image", "method", *(f"{name} {'↑' if key in HIGHER else '↓'}" for key, name in NAMES.items())]
    rows = [
        [key, titles[method], *(f"{methods[method][name]:.{digits}f}" for name, digits in DIGITS.items())]
        for key, methods in [*report["images"].items(), ("**mean**", report["mean"])]
        for method in report["mean"]
    ]
    told = "" if twins is None else f"{compare_twins(*(report['mean'][name] for name in twins))}\n\n"
    return f"""# Demo report

Commit {report["commit"]}; seconds: {report["seconds"]}.

PSNR (dB), SSIM and NIQE on Y, LPIPS-ST on RGB (AlexNet), 1000 times the self-similarity loss. Border: 4 pixels.

{markdown_table(header, rows, "ll" + "r" * len(NAMES))}

{told}![comparison](comparison.png)
"""


def compare_twins(base: Mapping[str, float], ssl: Mapping[str, float]) -> str:
    """Return a sentence on which mean figures the self-similarity loss made better or worse, as they are printed.

    Example:
        >>> compare_twins({"psnr_y": 25.0, "lpips_st": 0.3}, {"psnr_y": 24.9, "lpips_st": 0.28})
        'At the same iteration SSL makes better: LPIPS-ST (0.3000 to 0.2800); and worse: PSNR-Y (25.00 to 24.90).'
    """
    better: list[str] = []
    worse: list[str] = []
    for name in base:
        before, after = (f"{values[name]:.{DIGITS[name]}f}" for values in (base, ssl))
        if before != after:
            rises = ssl[name] > base[name]
            (better if rises == (name in HIGHER) else worse).append(f"{NAMES[name]} ({before} to {after})")
    good, bad = (", ".join(figures) or "nothing" for figures in (better, worse))
    return f"At the same iteration SSL makes better: {good}; and worse: {bad}."


def draw_comparison(crops: Sequence[Comparison], zoom: int = ZOOM) -> Image.Image:
    """Draw crops of every method side by side, a row each, with PSNR and LPIPS-ST of the whole image below."""
    side, line, gap = CROP * zoom, 16, 6
    width, height = side + gap, side + 2 * line + gap
    canvas = Image.new(
        "RGB", (gap + width * max(len(crop.panels) for crop in crops), gap + height * len(crops)), "white"
    )
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(13)
    for row, crop in enumerate(crops):
        for column, panel in enumerate(crop.panels):
            x, y = gap + width * column, gap + height * row
            picture = Image.open(io.BytesIO(panel.data))
            canvas.paste(picture.resize((picture.width * zoom, picture.height * zoom), NEAREST), (x, y + line))
            draw.text((x, y), f"{crop.image}: {panel.method}", "black", font)
            if panel.scores:
                told = f"{panel.scores['PSNR']:.2f} dB, LPIPS-ST {panel.scores['LPIPS-ST']:.3f}"
                draw.text((x, y + line + side), told, "black", font)
    return canvas
