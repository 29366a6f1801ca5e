"""The metrics that evaluation knows: their names on the command line and in tables, and how they are made."""

import hashlib
import importlib.util
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from prismsr.metrics.fid import MODES, InceptionFeatures
from prismsr.metrics.full_reference import FRMetric, build_fr_metric, build_inception, pyiqa_mode
from prismsr.metrics.no_reference import NRMetric, build_nr_metric
from prismsr.utils.errors import OptionError, UserError
from prismsr.utils.names import did_you_mean
from prismsr.utils.weights.files import weights_hash
from prismsr.version import __version__

import basicsr.metrics.niqe
from torch import nn

Kind = Literal["pixels", "full", "none", "set"]
"""pixels: by numpy in several processes; full, none: networks with and without a reference; set: of all images."""
PYIQA = "pyiqa:"
VARIANTS = ("basicsr", "pyiqa")
"""Of psnr and ssim: pyiqa adds 1e-8 to the MSE in [0, 1], and for SSIM rounds Y and clips the structure term at 0."""


@dataclass(frozen=True)
class Known:
    """A metric by its name on the command line.

    Attributes:
        column: its name in tables, the papers' one.
        kind: see `Kind`.
        network: name for `build_fr_metric` or `build_nr_metric`.
        batched: several images at once give what each gives alone.
    """

    column: str
    kind: Kind
    network: str = ""
    batched: bool = True


KNOWN: dict[str, Known] = {
    "psnr": Known("PSNR", "pixels"),
    "ssim": Known("SSIM", "pixels"),
    "niqe": Known("NIQE", "pixels"),
    "lpips": Known("LPIPS", "full", "lpips"),
    "lpips-st": Known("LPIPS-ST", "full", "lpips-st"),
    "dists": Known("DISTS", "full", "dists"),
    "fid": Known("FID", "set"),
    "niqe-pyiqa": Known("NIQE", "none", "niqe", batched=False),
    "musiq": Known("MUSIQ", "none", "musiq"),
    "clipiqa": Known("CLIPIQA", "none", "clipiqa"),
    "maniqa": Known("MANIQA", "none", "maniqa"),
    "maniqa-pipal": Known("MANIQA", "none", "maniqa-pipal"),
    "nima": Known("NIMA", "none", "nima"),
    "qalign": Known("Q-Align", "none", "qalign", batched=False),
    "topiq": Known("TOPIQ", "none", "topiq_nr"),
    "sfd-iqa": Known("SFD-IQA", "none", "sfd_iqa"),
    "natural-scene": Known("natural-scene", "none", "natural_scene"),
}
_PIXEL_SETTINGS: dict[str, dict[str, Any]] = {
    "psnr": {"y_channel": False, "crop_border": 0, "variant": "basicsr"},
    "ssim": {"y_channel": False, "crop_border": 0, "variant": "basicsr"},
    "niqe": {"crop_border": 0},
    "fid": {"mode": "clean", "patches": None},
}
_PYIQAS = {
    "psnr": "pyiqa's (MSE + 1e-8)",
    "ssim": "pyiqa's (rounded, structure term not below 0)",
}


def find_metric(name: str) -> Known:
    """A metric by its name on the command line; `pyiqa:NAME` is any of pyiqa's.

    Raises:
        OptionError: there is none of this name.
    """
    if name in KNOWN:
        return KNOWN[name]
    if name.startswith(PYIQA):
        kind: Kind = "full" if pyiqa_mode(name.removeprefix(PYIQA)) == "FR" else "none"
        return Known(name.removeprefix(PYIQA), kind, name, batched=False)
    raise OptionError(f"no metric named {name!r}{did_you_mean(name, KNOWN)}; or pyiqa:NAME")


@dataclass(frozen=True)
class MetricSpec:
    """One column of a table and how it is computed.

    Attributes:
        metric: name on the command line.
        settings: crop_border (not of fid); of psnr and ssim y_channel and variant (see VARIANTS); of fid mode and
            patches; else options of the network. What is not given has its default: crop_border 0, RGB, BasicSR's.
        basis: where the settings come from: the paper, its release, or our reconstruction.
    """

    metric: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    basis: str = ""

    @property
    def column(self) -> str:
        """Name in tables."""
        return find_metric(self.metric).column

    @property
    def kind(self) -> Kind:
        """See `Kind`."""
        return find_metric(self.metric).kind

    def full_settings(self) -> dict[str, Any]:
        """The settings with the defaults filled in.

        Raises:
            OptionError: a setting that the metric does not have, or a value that it does not take.
        """
        defaults = _PIXEL_SETTINGS.get(self.metric, {"crop_border": 0})
        settings = {**defaults, **self.settings}
        if unknown := sorted(settings.keys() - defaults.keys()) if self.metric in _PIXEL_SETTINGS else []:
            raise OptionError(f"{self.metric} has no setting {unknown[0]!r}{did_you_mean(unknown[0], defaults)}")
        _check_values(self.metric, settings)
        return settings

    def said(self) -> str:
        """The settings in words."""
        settings = self.full_settings()
        parts = []
        if "y_channel" in settings:
            parts.append("Y of BT.601" if settings.pop("y_channel") else "RGB")
        if self.metric in ("psnr", "ssim") and settings.pop("variant") == "pyiqa":
            parts.append(_PYIQAS[self.metric])
        if self.metric == "fid":
            patches = settings.pop("patches")
            parts.append(f"patches of {patches} x {patches}" if patches else "whole images")
        parts += [f"{key} {value}" for key, value in settings.items()]
        network = find_metric(self.metric).network
        renamed = self.metric in KNOWN and network.replace("_", "-") not in (self.metric, "")
        return ", ".join([f"pyiqa's {network}"] * renamed + parts)


def _check_values(metric: str, settings: Mapping[str, Any]) -> None:
    border, patches = settings.get("crop_border", 0), settings.get("patches")
    if isinstance(border, bool) or not isinstance(border, int) or border < 0:
        raise OptionError(f"{metric}: crop_border: must be a whole number of 0 or more; got {border!r}")
    if not isinstance(settings.get("y_channel", False), bool):
        raise OptionError(f"{metric}: y_channel: must be true or false; got {settings['y_channel']!r}")
    if metric in ("psnr", "ssim") and settings["variant"] not in VARIANTS:
        raise OptionError(f"{metric}: variant: must be one of {', '.join(VARIANTS)}; got {settings['variant']!r}")
    if metric == "fid" and settings["mode"] not in MODES:
        raise OptionError(f"fid: mode: must be one of {', '.join(MODES)}; got {settings['mode']!r}")
    if patches is not None and (isinstance(patches, bool) or not isinstance(patches, int) or patches < 1):
        raise OptionError(f"fid: patches: must be a side in pixels, or null for whole images; got {patches!r}")


@dataclass(frozen=True)
class Scorer:
    """A metric that is ready to run.

    Attributes:
        spec: what was asked for.
        column, kind, batched: see `Known`.
        settings: all of them.
        better: "higher" or "lower".
        version: package and version.
        weights: SHA-256 of the weights; "" where there are none.
        network: on the CPU; None for what is computed without one.
    """

    spec: MetricSpec
    column: str
    kind: Kind
    batched: bool
    settings: Mapping[str, Any]
    better: Literal["higher", "lower"]
    version: str
    weights: str = ""
    network: nn.Module | None = None

    @property
    def key(self) -> str:
        """What a score depends on besides the images, as text; the device is left out, it is no part of the meaning."""
        return json.dumps([self.spec.metric, dict(self.settings), self.version, self.weights], sort_keys=True)


def make_scorer(spec: MetricSpec) -> Scorer:
    """Build a metric.

    Raises:
        OptionError: the settings do not suit it. WeightsError, UserError: what it lacks, and where to get it.
    """
    known, settings = find_metric(spec.metric), spec.full_settings()
    better: Literal["higher", "lower"] = "higher"
    network: nn.Module | None = None
    if spec.metric in ("psnr", "ssim"):
        source, weights = f"prismsr {__version__}", ""
    elif spec.metric == "niqe":
        better, source, weights = "lower", f"basicsr {version('basicsr')}", _niqe_hash()
    elif known.kind == "set":
        inception, source = build_inception()
        better, weights, network = "lower", weights_hash(inception), InceptionFeatures(inception)
        source = f"prismsr {__version__}, Inception of {source}"
    else:
        made = build_network(spec)
        better = "lower" if made.lower_better else "higher"
        source, weights, network = made.version, made.weights_hash(), made
    return Scorer(spec, known.column, known.kind, known.batched, settings, better, source, weights, network)


def build_network(spec: MetricSpec) -> NRMetric | FRMetric:
    """The network of a metric of the kind full or none, on the CPU; see `make_scorer` for the errors."""
    known = find_metric(spec.metric)
    options = {key: value for key, value in spec.settings.items() if key != "crop_border"}
    build: Callable[..., NRMetric | FRMetric] = build_fr_metric if known.kind == "full" else build_nr_metric
    return build(known.network, **options)


def _niqe_hash() -> str:
    parameters = Path(basicsr.metrics.niqe.__file__).with_name("niqe_pris_params.npz")
    return hashlib.sha256(parameters.read_bytes()).hexdigest()


def make_scorers(specs: Sequence[MetricSpec], skip_missing: bool = False) -> tuple[list[Scorer], dict[str, str]]:
    """Build all metrics before anything is computed.

    Args:
        specs: the columns.
        skip_missing: go on without metrics whose weights or packages are not there.

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
        raise OptionError(f"no metrics; known: {', '.join(KNOWN)}")
    columns: dict[str, str] = {}
    for spec in specs:
        if spec.column in columns:
            both = f"{columns[spec.column]} and {spec.metric}"
            raise OptionError(f"metrics: {both} both make the column {spec.column}; give one of them")
        columns[spec.column] = spec.metric
