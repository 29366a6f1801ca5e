"""Benchmark `bsrgan`: BSRGAN's degradation beside the reference of the tests, its steps written plainly."""

import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from prismsr.data.degradation.bsrgan import degrade_bsrgan
from prismsr.data.degradation.bsrgan_options import BSRGANRanges
from prismsr.tools.benchmarks.loader import cut_crops
from prismsr.tools.benchmarks.measure import load_reference
from prismsr.utils.options.files import load_options
from prismsr.utils.places import OPTIONS

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
FILES = {"original": "degradation_bsrgan.yml", "weak": "degradation_bsrgan_hggt.yml"}
SIDE = 256


def compare_bsrgan(rounds: int) -> None:
    """Print LQ images a second of both ways, on one thread, in turn, and the median of the rounds' ratios."""
    cv2.setNumThreads(0)
    images = [image[:SIDE, :SIDE].astype(np.float32) / 255 for image in cut_crops()]
    print(f"{len(images)} crops of {SIDE}x{SIDE}, x4, one thread; median of {rounds} rounds, in turn\n")
    print("| form | ours, images/s | plainly, images/s | ratio |\n" + "|---" * 4 + "|")
    degrade_plainly = load_reference("bsrgan_reference.py").degrade_plainly
    for form, file in FILES.items():
        section = load_options(OPTIONS / "_base_" / file)["datasets"]["train"]
        ranges = BSRGANRanges.read(section)
        pairs = []
        for number in range(rounds):
            ours = _rate(images, number, partial(degrade_bsrgan, scale=4, ranges=ranges))
            theirs = _rate(images, number, partial(degrade_plainly, s=4, form=form, jpeg=_jpeg))
            pairs.append((ours, theirs))
        medians = " | ".join(f"{statistics.median(rates):.1f}" for rates in zip(*pairs, strict=True))
        print(f"| {form} | {medians} | {statistics.median(a / b for a, b in pairs):.2f} |", flush=True)


def _rate(images: list[Array], seed: int, degrade: Callable[..., Array]) -> float:
    start = time.perf_counter()
    for number, image in enumerate(images):
        degrade(image, rng=np.random.default_rng([seed, number]))
    return len(images) / (time.perf_counter() - start)


def _jpeg(image: Array, quality: int) -> Array:
    levels = np.rint(image * 255).clip(0, 255).astype(np.uint8)
    data = cv2.imencode(".jpg", cv2.cvtColor(levels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB).astype(image.dtype) / 255
