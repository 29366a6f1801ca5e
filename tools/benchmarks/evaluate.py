"""Benchmark `evaluate`: PSNR and SSIM of a folder, ours beside a loop that calls BasicSR's, on the same files."""

import contextlib
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from prismsr.tools.benchmarks.loader import IMAGES, SIDE, crops
from prismsr.tools.evaluation.columns import MetricSpec
from prismsr.tools.evaluation.folder import evaluate_folder
from prismsr.utils.images import write_png_atomic
from prismsr.utils.processes import default_workers

import cv2
import numpy as np
from basicsr.metrics import calculate_psnr, calculate_ssim

BORDER = 4
Values = dict[str, tuple[float, float]]


def make_folders(root: Path) -> None:
    """Write crops of photographs as gt/NNN.png, and the same reduced and enlarged as sr/NNN.png."""
    for number, gt in enumerate(crops()):
        small = cv2.resize(gt, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
        write_png_atomic(root / "gt" / f"{number:03d}.png", gt)
        enlarged = cv2.resize(small, gt.shape[1::-1], interpolation=cv2.INTER_CUBIC)
        write_png_atomic(root / "sr" / f"{number:03d}.png", enlarged)


def theirs(root: Path, y_channel: bool) -> Values:
    """PSNR and SSIM by image, BasicSR's functions in a loop."""
    found = {}
    for path in sorted((root / "sr").iterdir()):
        pair = cv2.imread(str(path)), cv2.imread(str(root / "gt" / path.name))
        values = (measure(*pair, BORDER, test_y_channel=y_channel) for measure in (calculate_psnr, calculate_ssim))
        first, second = (float(value) for value in values)
        found[path.stem] = (first, second)
    return found


def ours(root: Path, y_channel: bool) -> Values:
    """The same by `evaluate_folder`, with nothing kept from an earlier round."""
    settings = {"crop_border": BORDER, "y_channel": y_channel}
    specs = [MetricSpec("psnr", settings), MetricSpec("ssim", settings)]
    with tempfile.TemporaryDirectory() as output, open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):
        values = evaluate_folder(root / "sr", root / "gt", specs, Path(output), device="cpu").values
    return {name: (values["PSNR"][name], values["SSIM"][name]) for name in values["PSNR"]}


def evaluate(rounds: int) -> None:
    """Print the time of both for RGB and Y, median of the rounds, and the largest difference of their values."""
    print(f"{IMAGES} pairs of {SIDE} x {SIDE} PNG files, PSNR and SSIM, border {BORDER}; median of {rounds} rounds, in")
    print(
        f"turn; ours with {default_workers()} processes, OpenCV in BasicSR's loop with {cv2.getNumThreads()} threads\n"
    )
    print("| channels | ours | loop | ratio | largest difference |\n" + "|---" * 5 + "|")
    with tempfile.TemporaryDirectory() as folder:
        make_folders(Path(folder))
        for title, y_channel in (("RGB", False), ("Y", True)):
            ours(Path(folder), y_channel)  # fills the file cache, and imports what is imported late
            pairs = [
                (_timed(ours, Path(folder), y_channel), _timed(theirs, Path(folder), y_channel)) for _ in range(rounds)
            ]
            first, second = (statistics.median(pair[side][0] for pair in pairs) for side in (0, 1))
            ratio = statistics.median(other[0] / own[0] for own, other in pairs)
            difference = largest_difference(pairs[-1][0][1], pairs[-1][1][1])
            print(f"| {title} | {first:.2f} s | {second:.2f} s | {ratio:.2f} | {difference:.1e} |", flush=True)


def largest_difference(first: Values, second: Values) -> float:
    """Over all images, of PSNR in dB and SSIM."""
    return float(max(np.abs(np.subtract(first[name], second[name])).max() for name in second))


def _timed(run: Callable[[Path, bool], Values], folder: Path, y_channel: bool) -> tuple[float, Values]:
    start = time.perf_counter()
    values = run(folder, y_channel)
    return time.perf_counter() - start, values
