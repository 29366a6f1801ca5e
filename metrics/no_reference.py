"""No-reference quality metrics in one form: batches in, one score per image out, frozen and in float32.

What chooses a ground truth by quality, optimises quality, or measures it, gets its metric here. docs/guide/nr_iqa.md
lists what there is.
"""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

from prismsr.metrics.natural_scene import SCORE_RANGE, NaturalScene
from prismsr.metrics.pyiqa_networks import load_pyiqa
from prismsr.metrics.sfd_iqa import load_sfd_iqa, sfd_iqa_needs
from prismsr.utils.errors import OptionError
from prismsr.utils.names import nearest
from prismsr.utils.options.problems import join
from prismsr.utils.options.sections import section
from prismsr.utils.options.signatures import check_arguments
from prismsr.utils.rng import generators_kept
from prismsr.utils.weights.files import weights_hash
from prismsr.utils.weights.needs import Need, file_needs
from prismsr.version import __version__

import numpy as np
import torch
from torch import Tensor, nn

PYIQA = "pyiqa:"
_SEED = 0
_PROBE_SIDE = 224  # pixels: what the backbones of metrics were made for


class NRMetric(nn.Module):
    """A frozen no-reference metric; it stays in eval mode whatever its owner does, and computes without autocast.

    Scoring leaves the global CPU generators as they were; a metric that draws gets the same numbers every time.

    Args:
        net: RGB (B, 3, H, W) in [0, 1] to scores (B,), (B, 1) or a tuple or list that begins with them.
        name: its name in option files.
        version: package and version that it comes from.
        lower_better: whether a lower score means better quality.
        score_range: the lowest and the highest score; None for an end that is not known.
    """

    def __init__(
        self,
        net: nn.Module,
        name: str,
        version: str,
        lower_better: bool,
        score_range: tuple[float | None, float | None],
    ) -> None:
        super().__init__()
        self.net = net
        self.name = name
        self.version = version
        self.lower_better = lower_better
        self._range = score_range
        self.requires_grad_(False)
        self.eval()

    @property
    def score_range(self) -> tuple[float, float]:
        """Lowest and highest score; OptionError where an end is not known."""
        low, high = self._range
        if low is None or high is None:
            raise OptionError(
                f"{self.name}: its range of scores is not known, and a common scale needs it; give the lowest and the "
                "highest score by the option score_range: [low, high]"
            )
        return low, high

    def forward(self, images: Tensor) -> Tensor:
        """Raw scores (B,) in float32, differentiable with respect to the images where the metric is.

        Args:
            images: RGB (B, 3, H, W) in [0, 1].
        """
        with torch.autocast(images.device.type, enabled=False), _equal_draws():
            scores = self.net(images.float())
            scores = scores[0] if isinstance(scores, tuple | list) else scores
        return scores.reshape(len(images), -1)[:, 0].float()

    def quality(self, images: Tensor) -> Tensor:
        """Scores (B,) on one scale for all metrics: 0 to 100, higher is better, not clamped; MUSIQ's is its raw score.

        100 (s - low) / (high - low), turned around where lower is better.

        Args:
            images: RGB (B, 3, H, W) in [0, 1].

        Raises:
            OptionError: the metric's range is not known.
        """
        return quality_of(self(images), self.lower_better, self.score_range)

    def gives_gradient(self) -> bool:
        """Whether a gradient that is finite and not 0 reaches an image, tried on one of random pixels."""
        side = _PROBE_SIDE
        probe = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(_SEED))
        tensors = [*self.parameters(), *self.buffers()]
        probe = probe.to(tensors[0].device if tensors else "cpu").requires_grad_()
        with torch.enable_grad():
            score = self(probe).sum()
            if not score.requires_grad:
                return False
            (gradient,) = torch.autograd.grad(score, probe, allow_unused=True)
        return gradient is not None and bool(gradient.isfinite().all() and gradient.any())

    def weights_hash(self) -> str:
        """SHA-256, in hex, of the bytes of the state dict in the order of its keys; "" where there are no weights.

        pyiqa's NIQE, ILNIQE and the like keep their few parameters outside of the state dict: "" for them, too.
        """
        return weights_hash(self.net)

    def train(self, mode: bool = True) -> "NRMetric":
        """Stay in eval mode: MUSIQ makes its patches there only, and dropout would change the scores."""
        return super().train(False)


def quality_of(scores: Any, lower_better: bool, score_range: tuple[float, float]) -> Any:
    """Scores, a tensor or an array, on the scale of `NRMetric.quality`."""
    low, high = score_range
    if (low, high, lower_better) == (0.0, 100.0, False):
        return scores  # MUSIQ's, to the bit
    share = 100.0 * (scores - low) / (high - low)
    return 100.0 - share if lower_better else share


@contextmanager
def _equal_draws() -> Iterator[None]:
    with generators_kept():
        random.seed(_SEED)
        np.random.seed(_SEED)
        torch.default_generator.manual_seed(_SEED)
        yield


def build_nr_metric(metric: str = "musiq", **options: Any) -> NRMetric:
    """Build a metric on the CPU; the global CPU generators are afterwards as they were.

    Args:
        metric: "natural_scene", "sfd_iqa", or the name of a no-reference metric of pyiqa, with or without "pyiqa:".
        options: score_range: [low, high] for any; for "sfd_iqa" the arguments of calculate_sfd_iqa; for pyiqa's
            `weights`, a local file, and the arguments of its network, such as pretrained: false for random weights.

    Raises:
        OptionError: no such metric, options that do not suit it, or pyiqa is not installed.
        WeightsError: weights are not at hand, damaged or of another network.
        UserError: a package that the metric needs is not installed.
    """
    score_range = _given_range(options.pop("score_range", None))
    with _equal_draws():
        if metric in _OWN:
            made = _OWN[metric](options)
        else:
            made = _of_pyiqa(metric.removeprefix(PYIQA), options, near=not metric.startswith(PYIQA))
    if score_range is not None:
        made._range = score_range
    return made


def nr_metric_needs(arguments: Mapping[str, Any], key: str) -> Iterator[Need]:
    """Yield what build_nr_metric loads for an entry with `metric` and, in it or in `metric_options`, its options."""
    inner = section(arguments, "metric_options")
    options, place = (inner, join(key, "metric_options")) if inner else (arguments, key)
    name = str(arguments.get("metric", "musiq")).removeprefix(PYIQA)
    if name == "sfd_iqa":
        yield from sfd_iqa_needs(options, place)
    elif options.get("weights"):
        yield from file_needs(options, place, "weights")
    elif name not in _OWN and options.get("pretrained") is not False:
        yield Need(f"metric:{name}", join(key, "metric"))


def _given_range(given: Sequence[float] | None) -> tuple[float, float] | None:
    if given is None:
        return None
    numbers = [end for end in given if isinstance(end, int | float)] if isinstance(given, list | tuple) else []
    if len(numbers) != 2 or not numbers[0] < numbers[1]:
        raise OptionError(f"score_range: must be [low, high] with low below high; got {given}")
    return float(numbers[0]), float(numbers[1])


def _natural_scene(options: Mapping[str, Any]) -> NRMetric:
    if options:
        raise OptionError(f"natural_scene has no option {next(iter(options))!r}; it takes score_range alone")
    return NRMetric(NaturalScene(), "natural_scene", f"prismsr {__version__}", True, SCORE_RANGE)


def _sfd_iqa(options: Mapping[str, Any]) -> NRMetric:
    from prismsr.metrics.sfd_iqa_metric import calculate_sfd_iqa

    supplied = ("img", "crop_border", "input_order", "device")
    problems = check_arguments(calculate_sfd_iqa, options, "", supplied=supplied)
    if problems:
        raise OptionError("; ".join(f"sfd_iqa: {problem.key}: {problem.message}" for problem in problems))
    # a copy: load_sfd_iqa keeps its networks for others, and whoever gets this metric may move it to a GPU
    net = deepcopy(load_sfd_iqa(**options))
    return NRMetric(net, "sfd_iqa", f"prismsr {__version__}", False, (0.0, 1.0))


def _of_pyiqa(name: str, options: dict[str, Any], near: bool) -> NRMetric:
    own = nearest(name, _OWN) if near else None
    if own is not None:
        raise OptionError(f"no metric named {name!r}; did you mean {own!r}?")
    found = load_pyiqa(name, options, options.pop("weights", None))
    return NRMetric(found.net, name, found.version, found.lower_better, found.score_range)


_OWN: dict[str, Callable[[dict[str, Any]], NRMetric]] = {"natural_scene": _natural_scene, "sfd_iqa": _sfd_iqa}
