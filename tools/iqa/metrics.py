"""No-reference metrics for tools/evaluate_iqa.py: registered ones (BasicSR's, ours) and, by `pyiqa:NAME`, pyiqa's."""

import inspect
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import prismsr  # noqa: F401  (registers the metrics)
from prismsr.metrics.no_reference import PYIQA, NRMetric
from prismsr.metrics.nr_iqa_metric import kept_metric
from prismsr.utils.errors import DataError, OptionError, UserError
from prismsr.utils.images import eight_bit_bgr, metric_tensor, read_image
from prismsr.utils.names import did_you_mean
from prismsr.utils.options.entries import find_registered, registered_names
from prismsr.utils.options.signatures import check_arguments, takes
from prismsr.utils.options.yaml_loader import read_yaml

import cv2
import numpy as np
import torch

Better = Literal["higher", "lower"]
LOWER_BETTER = {"calculate_niqe"}
PAPER_METHODS = {
    "calculate_niqe": "NIQE",
    "calculate_sfd_iqa": "SFD-IQA",
    "pyiqa:niqe": "NIQE",
    "pyiqa:niqe_matlab": "NIQE",
    "pyiqa:ilniqe": "IL-NIQE",
    "pyiqa:clipiqa": "CLIP-IQA",
}
"""What SFD's tables call the metrics that this tool can run."""


@dataclass(frozen=True)
class Metric:
    """A metric that can score an image.

    Attributes:
        name: registered name, or `pyiqa:NAME`.
        options: arguments beside the image.
        better: which direction of its scores means better quality.
        device: torch device, as text.
        is_network: it takes a device, is slow to load and uses all cores itself: one process is to run it.
    """

    name: str
    options: Mapping[str, Any]
    better: Better
    device: str = "cpu"
    is_network: bool = False

    @property
    def short_name(self) -> str:
        """Name for files: niqe, pyiqa-musiq."""
        return self.name.removeprefix("calculate_").replace(":", "-")


def parse_options(texts: list[str]) -> dict[str, Any]:
    """Options from `key=value` texts; values as in option files (1e-4 is a number, true a boolean).

    Raises:
        OptionError: a text without "=".
        OptionError: a value that is not YAML.
    """
    options = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise OptionError(f"--metric-options {text}: write key=value")
        options[key] = read_yaml(value, f"--metric-options {key}")[0]
    return options


def find_metric(name: str, options: dict[str, Any], device: str, better: Better | None = None) -> Metric:
    """The metric of the command line.

    Args:
        name: a registered name with or without `calculate_`, or `pyiqa:NAME`.
        options: its arguments; `crop_border` is 0 where the metric wants one and none is given.
        device: torch device.
        better: the direction, where the metric itself does not tell.

    Raises:
        OptionError: no such metric, a full-reference one, unknown or missing options, pyiqa is not installed.
    """
    if name.startswith(PYIQA):
        metric = Metric(name, options, better or "higher", device, is_network=True)
        return replace(metric, better=better or ("lower" if _pyiqa_metric(metric).lower_better else "higher"))
    function = find_registered("metric", name) or find_registered("metric", f"calculate_{name}")
    if function is None:
        known = {other.removeprefix("calculate_") for other in registered_names("metric")}
        raise OptionError(f"no metric named {name!r}{did_you_mean(name, known)}; or pyiqa:NAME")
    if takes(function, "img2"):
        raise OptionError(f"{name} compares two images; a no-reference metric is needed here")
    if "crop_border" in inspect.signature(function).parameters:
        options = {"crop_border": 0, **options}
    supplied = ("img", "device") if takes(function, "device") else ("img",)
    problems = check_arguments(function, options, "--metric-options", supplied=supplied)
    if problems:
        raise OptionError("; ".join(f"{problem.key}: {problem.message}" for problem in problems))
    full_name = str(function.__name__)
    own: Better = getattr(function, "better", "lower" if full_name in LOWER_BETTER else "higher")
    return Metric(full_name, options, better or own, device, takes(function, "device"))


def score_image(name: str, path: Path, metric: Metric) -> tuple[str, float]:
    """Name and score of one image.

    Raises:
        DataError: the image cannot be read, or the metric has no finite score for it.
        UserError: what the metric itself lacks, such as its weights.
    """
    image = eight_bit_bgr(read_image(path), str(path))
    try:
        score = _pyiqa_score(image, metric) if metric.name.startswith(PYIQA) else _registered_score(image, metric)
    except (UserError, torch.OutOfMemoryError):  # not the image's fault: skipping images would hide it
        raise
    except (ValueError, ArithmeticError, IndexError, RuntimeError, cv2.error, np.linalg.LinAlgError) as error:
        raise DataError(f"{path}: {metric.name} failed on its {_size(image)} pixels: {error}") from error
    if not math.isfinite(score):
        raise DataError(f"{path}: {metric.name} gave {score} on its {_size(image)} pixels")
    return name, score


def _registered_score(image: np.ndarray, metric: Metric) -> float:
    function = find_registered("metric", metric.name)
    device = {"device": metric.device} if takes(function, "device") else {}
    return float(function(img=image, **metric.options, **device))


@torch.no_grad()
def _pyiqa_score(image: np.ndarray, metric: Metric) -> float:
    return float(_pyiqa_metric(metric)(metric_tensor(image).to(metric.device)))


def _pyiqa_metric(metric: Metric) -> NRMetric:
    """The network, made once."""
    try:
        return kept_metric(metric.name, dict(metric.options), metric.device)
    except UserError as error:
        raise OptionError(str(error)) from error


def _size(image: np.ndarray) -> str:
    return f"{image.shape[1]} x {image.shape[0]}"
