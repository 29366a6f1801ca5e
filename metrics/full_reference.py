"""Full-reference metrics by networks in one form: batches of pairs in, one distance per pair out, frozen, in float32.

LPIPS and DISTS come from pyiqa, LPIPS-ST from its authors' package; no-reference metrics are in no_reference.py.
"""

import importlib
from importlib.metadata import version
from pathlib import Path
from typing import Any

from prismsr.archs.frozen import Frozen
from prismsr.metrics.catalog import Metric, find_metric
from prismsr.metrics.pyiqa_networks import create_pyiqa
from prismsr.utils.compat import import_stlpips
from prismsr.utils.errors import OptionError
from prismsr.utils.weights.files import WeightsError, hash_weights
from prismsr.utils.weights.tensors_only import tensors_only

import torch
from torch import Tensor, nn

LPIPS_ST = "lpips-st"


class FRMetric(Frozen):
    """A frozen full-reference metric; it stays in eval mode and computes without autocast.

    The network maps two batches (B, 3, H, W), RGB in [0, 1], to B values. `version` is package and version that it
    comes from. With `lower_better` a lower value means more alike.
    """

    def __init__(self, net: nn.Module, name: str, version: str, lower_better: bool = True) -> None:
        super().__init__()
        self.net = net
        self.name = name
        self.version = version
        self.lower_better = lower_better
        self.eval().requires_grad_(False)

    def forward(self, sr: Tensor, gt: Tensor) -> Tensor:
        """Return values (B,) in float32.

        Args:
            sr: RGB (B, 3, H, W) in [0, 1].
            gt: the references, of the same shape and range.

        Raises:
            ValueError: shapes differ.
        """
        if sr.shape != gt.shape:
            raise ValueError(f"{self.name}: shapes differ: {tuple(sr.shape)} and {tuple(gt.shape)}.")
        with torch.autocast(sr.device.type, enabled=False):
            values: Tensor = self.net(sr.float(), gt.float())
        return values.reshape(len(sr), -1)[:, 0].float()

    def hash_weights(self) -> str:
        """Return see the function of this name."""
        return hash_weights(self.net)


class _UnitRange(nn.Module):
    """stlpips_pytorch's network for images in [0, 1] instead of [-1, 1]."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, sr: Tensor, gt: Tensor) -> Tensor:
        return self.net(sr, gt, normalize=True)


def build_fr_metric(metric: str, **options: Any) -> FRMetric:
    """Build a metric on the CPU; see catalog.find_metric for names.

    Options are, for "lpips-st", net: alex or vgg; for pyiqa's the arguments of the network, such as net: vgg for LPIPS,
    and `weights`, a local file with all of the network's weights.

    Raises:
        OptionError: no such metric, options that do not suit it, or pyiqa is not installed.
        WeightsError: weights are not at hand and cannot be fetched; the message says what to put where.
        UserError: a package that the metric needs is not installed.

    Example:
        >>> image = torch.rand(1, 3, 64, 64)
        >>> build_fr_metric("lpips-st")(image, image)
        tensor([0.])
    """
    known = find_metric(metric, "full")
    if known.name == LPIPS_ST:
        return _build_lpips_st(known, **options)
    if not known.pyiqa:
        raise OptionError(f"{known.name} is computed from 8-bit pixels, not by a network")
    return FRMetric(_create(known.pyiqa, options).net, known.name, known.version, known.lower_better)


def build_inception() -> tuple[nn.Module, str]:
    """Return the network of FID, images (B, 3, 299, 299) to features (B, 2048) after its call as [0], and its version.

    Raises:
        WeightsError: its weights are not at hand and cannot be fetched; the message says what to put where.
        OptionError: pyiqa is not installed.
    """
    net: nn.Module = _create("fid", {}).net.model
    return net.eval().requires_grad_(False), f"pyiqa {version('pyiqa')}"


@tensors_only()
def _build_lpips_st(known: Metric, net: str = "alex") -> FRMetric:
    if net not in ("alex", "vgg"):
        raise OptionError(f"lpips-st: net: must be 'alex' or 'vgg'; got {net!r}")
    made = import_stlpips().stlpips.LPIPS(net=net, variant="shift_tolerant", verbose=False)
    return FRMetric(_UnitRange(made), known.name, known.version, known.lower_better)


def _create(name: str, options: dict[str, Any]) -> Any:
    given = dict(options)
    weights = given.pop("weights", None)
    try:
        return create_pyiqa(name, given, weights)
    except WeightsError as error:
        raise WeightsError(f"{error}{_name_second_file(name, given)}") from error


def _name_second_file(name: str, options: dict[str, Any]) -> str:
    """Return the second file that LPIPS and DISTS need besides their backbone, which pyiqa asks for first."""
    if name not in ("lpips", "dists"):
        return ""
    urls: dict[str, str] = importlib.import_module(f"pyiqa.archs.{name}_arch").default_model_urls
    url = urls.get("url" if name == "dists" else f"{options.get('version', '0.1')}_{options.get('net', 'alex')}", "")
    place = Path(torch.hub.get_dir()) / "pyiqa" / url.rpartition("/")[2]
    return "" if not url or place.is_file() else f" It needs {url} at {place} as well."
