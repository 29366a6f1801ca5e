"""Write a demo's report: figures of bicubic and the trained models on unseen photographs, and crops side by side."""

import io
import json
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

from prismsr.data.images.source import open_source
from prismsr.tools.evaluation.columns import MetricSpec
from prismsr.tools.evaluation.folder import evaluate_folder
from prismsr.tools.evaluation.summary import Summary
from prismsr.tools.inference.folder import InferenceError, infer_folder, load_generator
from prismsr.tools.reporting.about import join_words
from prismsr.tools.reporting.build import write_report as write_page
from prismsr.tools.reporting.crops import Comparison, CropOptions, compare
from prismsr.tools.reporting.demonstrations import Demonstration
from prismsr.tools.reporting.evaluations import read_results
from prismsr.tools.reporting.grid import calculate_grid
from prismsr.tools.reporting.images import GT
from prismsr.tools.reporting.self_similarity import calculate_self_similarity
from prismsr.tools.reporting.tables import format_number
from prismsr.utils.errors import JobError
from prismsr.utils.images import decode_image, write_png_atomic
from prismsr.utils.options.files import load_options
from prismsr.utils.processes import count_cores
from prismsr.utils.tables import markdown_table

import numpy as np
from basicsr.utils.matlab_functions import imresize
from PIL import Image, ImageDraw, ImageFont

Extra = tuple[str, Path, str]
NEAREST = Image.Resampling.NEAREST
SPECS = {
    "psnr_y": MetricSpec("psnr", {"y_channel": True, "crop_border": 4}),
    "ssim_y": MetricSpec("ssim", {"y_channel": True, "crop_border": 4}),
    "niqe": MetricSpec("niqe", {"crop_border": 4}),
    "lpips_st": MetricSpec("lpips-st", {"crop_border": 4, "net": "alex"}),
    "self_similarity": MetricSpec(calculate_self_similarity.__name__, {"crop_border": 4}),
    "grid": MetricSpec(calculate_grid.__name__, {"crop_border": 4}),
    "natural_scene": MetricSpec("natural_scene", {"crop_border": 4}),
    "piqe": MetricSpec("piqe", {"crop_border": 4}),
}
"""What a demo can measure, by the name that `Demonstration.metrics` and report.json have."""
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
    titles = {"bicubic": "bicubic", **shown.titles, "truth": GT}
    methods = ["bicubic", *option_files]
    specs = {name: SPECS[name] for name in shown.metrics}
    measured = _measure(out, methods, gt, specs)
    report = {**collect_figures(measured, specs), "seconds": seconds, "commit": _read_commit(repository)}
    (out / "report.json").write_text(json.dumps(report, indent=2) + "\n")
    found = [] if shown.rivals is None else [compare_rivals(report["mean"], shown.rivals, titles)]
    extras = [one for name in shown.extras for one in find_extra(name)(out, repository, shown)]
    text = _write_markdown(report, shown, titles, [*found, *(sentence for _, _, sentence in extras)])
    (out / "report.md").write_text(text)
    print(text)
    named = [f"{method}={titles[method]}" for method in measured]
    experiments = [repository / "experiments" / load_options(file)["name"] for file in option_files.values()]
    places = {image: CROPS[image] for image in CROPS if image in report["images"]}
    options = CropOptions(lq={"demo": lq}, bases=(repository,), places=places)
    write_page(
        out / "evaluation",
        out / "report.html",
        shown.title,
        options,
        named,
        experiments,
        about=shown.about,
        look=shown.look,
        extras=extras,
        found=found,
    )
    (group,) = read_results(out / "evaluation", named, [])
    draw_comparison(compare(group, replace(options, side=CROP), [])).save(out / "comparison.png")
    few = replace(options, side=CROP, places=STRIP, max_images=len(STRIP))
    draw_comparison(compare(group, few, []), zoom=2).save(out / "strip.png", optimize=True)


def _measure(out: Path, methods: Sequence[str], gt: Path, specs: Mapping[str, MetricSpec]) -> dict[str, Summary]:
    """Evaluate the images of each method below OUT/sr; last GT itself, "truth", without PSNR, which is infinite."""
    shutil.copytree(gt, out / "sr" / "truth", dirs_exist_ok=True)
    finite = [spec for name, spec in specs.items() if name != "psnr_y"]
    wanted = {**{method: list(specs.values()) for method in methods}, "truth": finite}
    return {
        method: evaluate_folder(out / "sr" / method, gt, chosen, out / "evaluation" / method, count_cores(), "cpu")
        for method, chosen in wanted.items()
    }


def collect_figures(measured: Mapping[str, Summary], specs: Mapping[str, MetricSpec]) -> dict[str, Any]:
    """Return the figures by name: "mean" of each method, and "images", of each image and method."""
    columns = {name: spec.column for name, spec in specs.items()}
    images = {image for summary in measured.values() for values in summary.values.values() for image in values}
    figures = {
        image: {
            method: {
                name: summary.values[column][image] for name, column in columns.items() if column in summary.values
            }
            for method, summary in measured.items()
        }
        for image in sorted(images)
    }
    means = {
        method: {name: summary.metrics[column].mean for name, column in columns.items() if column in summary.values}
        for method, summary in measured.items()
    }
    return {"images": figures, "mean": means}


def find_extra(name: str) -> Callable[[Path, Path, Demonstration], list[Extra]]:
    """Return the function "module.function" of this folder."""
    module, function = name.split(".")
    found: Callable[[Path, Path, Demonstration], list[Extra]] = getattr(
        import_module(f"{__package__}.{module}"), function
    )
    return found


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


def _write_markdown(
    report: dict[str, Any], shown: Demonstration, titles: Mapping[str, str], found: Sequence[str]
) -> str:
    header = ["image", "method", *(f"{SPECS[name].column} {'↓' if is_lower(name) else '↑'}" for name in shown.metrics)]
    rows = [
        [key, titles[method], *(print_figure(name, values) for name in shown.metrics)]
        for key, methods in [*report["images"].items(), ("**mean**", report["mean"])]
        for method, values in methods.items()
    ]
    told = "".join(f"{sentence}\n\n" for sentence in found)
    return f"""# {shown.title}

{" ".join(shown.about)}

{markdown_table(header, rows, "ll" + "r" * len(shown.metrics))}

Settings: {"; ".join(f"{SPECS[name].column}: {SPECS[name].describe()}" for name in shown.metrics)}.

{told}Commit {report["commit"]}; seconds: {report["seconds"]}.

![comparison](comparison.png)
"""


def is_lower(name: str) -> bool:
    """Return whether the lower figure of a metric is the better one."""
    return SPECS[name].known.lower_better


def print_figure(name: str, values: Mapping[str, float]) -> str:
    """Return a metric's figure as the tables print it, a dash without one."""
    if name not in values:
        return "-"
    return format_number(values[name], SPECS[name].column)


def compare_rivals(means: Mapping[str, Mapping[str, float]], rivals: tuple[str, str], titles: Mapping[str, str]) -> str:
    """Return a sentence on which mean figures the second rival has better or worse, as they are printed.

    Example:
        >>> means = {"a": {"psnr_y": 25.0, "lpips_st": 0.3}, "b": {"psnr_y": 24.9, "lpips_st": 0.28}}
        >>> compare_rivals(means, ("a", "b"), {"a": "A", "b": "B"})
        'At as many iterations, B is better than A in LPIPS-ST (0.2800, 0.3000), and worse in PSNR (24.90, 25.00).'
    """
    first, second = (means[name] for name in rivals)
    better: list[str] = []
    worse: list[str] = []
    for name in first:
        before, after = (print_figure(name, values) for values in (first, second))
        if before != after:
            falls = second[name] < first[name]
            (better if falls == is_lower(name) else worse).append(f"{SPECS[name].column} ({after}, {before})")
    good, bad = (join_words(figures) or "nothing" for figures in (better, worse))
    one, other = (titles[name] for name in rivals)
    return f"At as many iterations, {other} is better than {one} in {good}, and worse in {bad}."


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
            draw.text((x, y), fit_title(crop.image, panel.method, font, side), "black", font)
            if "PSNR" in panel.scores:
                told = f"{panel.scores['PSNR']:.2f} dB, LPIPS-ST {panel.scores['LPIPS-ST']:.3f}"
                draw.text((x, y + line + side), told, "black", font)
    return canvas


def fit_title(image: str, method: str, font: Any, width: int) -> str:
    """Return "image: method"; the method alone, its end cut off, as far as that is wider than `width` pixels."""
    title = f"{image}: {method}"
    if font.getlength(title) > width:
        title = method
    while font.getlength(title) > width:
        title = f"{title.removesuffix('...')[:-1]}..."
    return title
