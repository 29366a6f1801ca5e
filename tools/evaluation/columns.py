"""The columns of a table: a metric with its settings, and what is ready to compute it."""

import importlib.util
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from prismsr.metrics.catalog import Metric, Reference, find_metric, list_metrics
from prismsr.metrics.fid import MODES, InceptionFeatures
from prismsr.metrics.full_reference import FRMetric, build_fr_metric, build_inception
from prismsr.metrics.no_reference import NRMetric, build_image_function, build_nr_metric, hash_loose
from prismsr.metrics.score_store import make_score_key
from prismsr.utils.errors import OptionError, UserError
from prismsr.utils.names import did_you_mean
from prismsr.utils.options.yaml_loader import read_settings
from prismsr.utils.weights.files import hash_weights

from torch import nn

Better = Literal["higher", "lower"]
VARIANTS = ("basicsr", "pyiqa")
"""Of psnr and ssim: pyiqa adds 1e-8 to the MSE in [0, 1], and for SSIM rounds Y and clips the structure term at 0."""
_SETTINGS: dict[str, dict[str, Any]] = {
    "psnr": {"y_channel": False, "crop_border": 0, "variant": "basicsr"},
    "ssim": {"y_channel": False, "crop_border": 0, "variant": "basicsr"},
    "fid": {"mode": "clean", "patches": None},
}
_PYIQAS = {
    "psnr": "pyiqa's (MSE + 1e-8)",
    "ssim": "pyiqa's (rounded, structure term not below 0)",
}


@dataclass(frozen=True)
class MetricSpec:
    """One column of a table and how it is computed.

    Attributes:
        metric: name in the catalogue, in any spelling.
        settings: crop_border (not of fid); of psnr and ssim y_channel and variant (see VARIANTS); of fid mode and
            patches; else options of the network or function. What is not given has its default: crop_border 0, RGB,
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
        if known.function and known.pixels:
            settings = build_image_function(known, self.settings).options
        else:
            defaults = _SETTINGS.get(known.name, {"crop_border": 0})
            settings = {**defaults, **self.settings}
            if unknown := sorted(settings.keys() - defaults.keys()) if known.name in _SETTINGS else []:
                raise OptionError(f"{known.name} has no setting {unknown[0]!r}{did_you_mean(unknown[0], defaults)}")
        _check_values(known.name, settings)
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


_ALLOWED: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "crop_border": ("a whole number of 0 or more", lambda value: type(value) is int and value >= 0),
    "y_channel": ("true or false", lambda value: isinstance(value, bool)),
    "variant": (f"one of {', '.join(VARIANTS)}", lambda value: value in VARIANTS),
    "mode": (f"one of {', '.join(MODES)}", lambda value: value in MODES),
    "patches": (
        "a side in pixels, or null for whole images",
        lambda value: value is None or (type(value) is int and value >= 1),
    ),
}


def _check_values(metric: str, settings: Mapping[str, Any]) -> None:
    for key in _SETTINGS.get(metric, ("crop_border",)):
        allowed, fits = _ALLOWED[key]
        if not fits(settings.get(key, 0)):
            raise OptionError(f"{metric}: {key}: must be {allowed}; got {settings[key]!r}")


@dataclass(frozen=True)
class Scorer:
    """A metric that is ready to run.

    Attributes:
        spec: what was asked for.
        settings: all of them.
        better: which direction of its scores means better quality.
        version: package and version.
        weights: SHA-256 of the weights; "" where there are none.
        network: on the CPU; None for what is computed without one.
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
