"""The columns of a table: a metric with its settings, and what is ready to compute it."""

import importlib.util
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from prismsr.metrics.catalog import Metric, Reference, find_metric, list_metrics
from prismsr.metrics.fid import InceptionFeatures, Mode
from prismsr.metrics.full_reference import FRMetric, build_fr_metric, build_inception
from prismsr.metrics.no_reference import NRMetric, build_image_function, build_nr_metric, hash_loose
from prismsr.metrics.score_store import make_score_key
from prismsr.utils.errors import OptionError, UserError
from prismsr.utils.options.schema import Options
from prismsr.utils.options.validation import validate_section
from prismsr.utils.options.yaml_loader import read_settings
from prismsr.utils.weights.files import hash_weights

from pydantic import Field
from torch import nn

Better = Literal["higher", "lower"]


class _Border(Options):
    crop_border: int = Field(default=0, ge=0)


class _Pixels(_Border):
    y_channel: bool = False
    variant: Literal["basicsr", "pyiqa"] = "basicsr"


class _Fid(Options):
    mode: Mode = "clean"
    patches: int | None = Field(default=None, gt=0, description="a side in pixels; null: whole images")


_SETTINGS: dict[str, type[Options]] = {"psnr": _Pixels, "ssim": _Pixels, "fid": _Fid}
"""Schemas of metrics that have no further settings."""
_PYIQAS = {
    "psnr": "pyiqa's (MSE + 1e-8)",
    "ssim": "pyiqa's (rounded, structure term not below 0)",
}


@dataclass(frozen=True)
class MetricSpec:
    """One column of a table and how it is computed.

    Attributes:
        metric: name in the catalogue, in any spelling.
        settings: crop_border (not of fid); of psnr and ssim y_channel and variant (pyiqa's adds 1e-8 to the MSE in
            [0, 1], and for SSIM rounds Y and clips the structure term at 0); of fid mode and patches; else options of
            the network or function. What is not given has its default: crop_border 0, RGB,
            BasicSR's.
        basis: where the settings come from: the paper, its release, or our reconstruction.
    """

    metric: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    basis: str = ""

    @property
    def known(self) -> Metric:
        """Return the metric; OptionError where there is none of this name."""
        return find_metric(self.metric)

    @property
    def column(self) -> str:
        """Name in tables."""
        return self.known.column

    def fill_settings(self) -> dict[str, Any]:
        """Return the settings with the defaults filled in; OptionError where the metric does not take one, or its
        value.
        """
        known = self.known
        schema = _SETTINGS.get(known.name, _Border)
        if known.function and known.pixels:
            settings = build_image_function(known, self.settings).options
        else:
            settings = {**schema().model_dump(), **self.settings}
        checked = {key: value for key, value in settings.items() if schema is not _Border or key == "crop_border"}
        if problems := validate_section(schema, checked, "", is_train=False):
            raise OptionError("; ".join(f"{known.name}: {problem.key}: {problem.message}" for problem in problems))
        return settings

    def describe(self) -> str:
        """Return the settings in words."""
        known, settings = self.known, self.fill_settings()
        parts = [f"pyiqa's {known.pyiqa}"] * (known.source == "pyiqa" and known.pyiqa != self.metric)
        if known.name in ("psnr", "ssim"):
            parts.append("Y of BT.601" if settings.pop("y_channel") else "RGB")
            parts += [_PYIQAS[known.name]] * (settings.pop("variant") == "pyiqa")
        if known.name == "fid":
            patches = settings.pop("patches")
            parts.append(f"patches of {patches} x {patches}" if patches else "whole images")
        return ", ".join([*parts, *(f"{key} {value}" for key, value in settings.items())])


@dataclass(frozen=True)
class Scorer:
    """A metric that is ready to run, with all its settings and the direction of its scores that means better quality.

    `version` is package and version, `weights` their SHA-256, "" for none. The network is on the CPU; None for what is
    computed without one.
    """

    spec: MetricSpec
    settings: Mapping[str, Any]
    better: Better
    version: str
    weights: str = ""
    network: nn.Module | None = None

    @property
    def column(self) -> str:
        """Name in tables."""
        return self.spec.column

    @property
    def key(self) -> str:
        """Return what its scores are kept under; see `make_score_key`."""
        return make_score_key(self.spec.known.name, self.settings, self.version, self.weights)


def make_scorer(spec: MetricSpec, *references: Reference) -> Scorer:
    """Build a metric, of the kinds `references` that the caller can use, nothing for any.

    Raises:
        OptionError: no such metric, one of another kind, or the settings do not suit it.
        WeightsError, UserError: what it lacks, and where to get it.
    """
    known, settings = find_metric(spec.metric, *references), spec.fill_settings()
    version, weights = known.version, ""
    network: nn.Module | None = None
    if known.reference == "set":
        if known.name != "fid":
            raise OptionError(f"{spec.metric} compares whole sets of images; of those fid alone is computed here")
        inception, source = build_inception()
        version = f"{version}, Inception of {source}"
        weights, network = hash_weights(inception), InceptionFeatures(inception)
    elif not known.pixels:
        made = build_network(spec)
        weights, network = made.hash_weights(), made
    elif known.function:
        weights = hash_loose(build_image_function(known, spec.settings))
    return Scorer(spec, settings, "lower" if known.lower_better else "higher", version, weights, network)


def build_network(spec: MetricSpec) -> NRMetric | FRMetric:
    """Build the network of a metric that has one, on the CPU; see `make_scorer` for the errors."""
    options = {key: value for key, value in spec.settings.items() if key != "crop_border"}
    return (build_fr_metric if spec.known.reference == "full" else build_nr_metric)(spec.metric, **options)


def make_scorers(specs: Sequence[MetricSpec], skip_missing: bool = False) -> tuple[list[Scorer], dict[str, str]]:
    """Build all metrics before anything is computed; with `skip_missing` without those whose weights or packages lack.

    Returns:
        The scorers, and for each column that is missing the reason.

    Raises:
        OptionError: a metric is unknown, has wrong settings, or two metrics make one column.
        UserError: metrics lack something, all told at once, and `skip_missing` is not set or none is left.
    """
    _require_different_columns(specs)
    scorers, missing = [], {}
    for spec in specs:
        try:
            scorers.append(make_scorer(spec))
        except UserError as error:
            if isinstance(error, OptionError) and importlib.util.find_spec("pyiqa"):
                raise  # a wrong name or setting; without pyiqa it may be the package that is missing
            missing[spec.column] = str(error)
    if missing and not (skip_missing and scorers):
        reasons = "\n".join(f"  {column}: {reason}" for column, reason in missing.items())
        hint = " (--skip-missing goes on)" if scorers else ""
        raise UserError(f"{len(missing)} metrics cannot run, so nothing was computed{hint}:\n{reasons}")
    return scorers, missing


def _require_different_columns(specs: Sequence[MetricSpec]) -> None:
    if not specs:
        raise OptionError(f"no metrics; known: {', '.join(list_metrics())}")
    columns: dict[str, str] = {}
    for spec in specs:
        if spec.column in columns:
            both = f"{columns[spec.column]} and {spec.metric}"
            raise OptionError(f"metrics: {both} both make the column {spec.column}; give one of them")
        columns[spec.column] = spec.metric


def read_metric_settings(texts: Iterable[str], flag: str) -> dict[str, dict[str, Any]]:
    """Return the settings of METRIC.KEY=VALUE texts, given to the option `flag`, by the metric's name in the catalogue.

    Raises:
        OptionError: a text of another form, or no such metric.
    """
    found: dict[str, dict[str, Any]] = {}
    for name, value in read_settings(texts, flag).items():
        metric, _, key = name.rpartition(".")
        if not (metric and key):
            raise OptionError(f"{flag} {name}: write METRIC.KEY=VALUE")
        found.setdefault(find_metric(metric).name, {})[key] = value
    return found
