"""No-reference quality metrics in one form: batches in, one score per image out, frozen and in float32.

What chooses a ground truth by quality, optimises quality, or measures it, gets its metric here. docs/guide/nr_iqa.md
lists what there is.
"""

import hashlib
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

from prismsr.archs.frozen import Frozen
from prismsr.metrics.catalog import Metric, find_metric
from prismsr.metrics.natural_scene import PRISTINE, SCORE_RANGE, NaturalScene
from prismsr.metrics.pyiqa_networks import create_pyiqa, parse_range
from prismsr.metrics.sfd_iqa import list_sfd_iqa_needs, load_sfd_iqa
from prismsr.utils.errors import OptionError
from prismsr.utils.options.entries import find_registered
from prismsr.utils.options.problems import join
from prismsr.utils.options.sections import section
from prismsr.utils.options.signatures import check_arguments, takes
from prismsr.utils.rng import keep_generators
from prismsr.utils.weights.files import hash_weights
from prismsr.utils.weights.needs import Need, file_needs

import numpy as np
import torch
from basicsr.metrics import calculate_niqe
from numpy.typing import NDArray
from torch import Tensor, nn

Range = tuple[float | None, float | None]
_SEED = 0
_PROBE_SIDE = 224  # pixels: what the backbones of metrics were made for


class NRMetric(Frozen):
    """A frozen no-reference metric; it stays in eval mode, where alone MUSIQ makes its patches, and has no autocast.

    Scoring leaves the global CPU generators as they were; a metric that draws gets the same numbers every time.

    Args:
        net: RGB (B, 3, H, W) in [0, 1] to scores (B,), (B, 1) or a tuple or list that begins with them.
        name: its name in option files.
        version: package and version that it comes from.
        lower_better: whether a lower score means better quality.
        score_range: the lowest and the highest score; None for an end that is not known.
    """

    def __init__(self, net: nn.Module, name: str, version: str, lower_better: bool, score_range: Range) -> None:
        super().__init__()
        self.net = net
        self.name = name
        self.version = version
        self.lower_better = lower_better
        self._range = score_range
        self.eval().requires_grad_(False)

    @property
    def score_range(self) -> tuple[float, float]:
        """Return lowest and highest score; OptionError where an end is not known."""
        low, high = self._range
        if low is None or high is None:
            raise OptionError(
                f"{self.name}: its range of scores is not known, and a common scale needs it; give the lowest and the "
                "highest score by the option score_range: [low, high]"
            )
        return low, high

    def forward(self, images: Tensor) -> Tensor:
        """Return raw scores (B,) in float32 of RGB (B, 3, H, W) in [0, 1], differentiable where the metric is."""
        with torch.autocast(images.device.type, enabled=False), _fix_draws():
            scores = self.net(images.float())
            scores = scores[0] if isinstance(scores, tuple | list) else scores
        return scores.reshape(len(images), -1)[:, 0].float()

    def rate(self, images: Tensor) -> Tensor:
        """Return scores (B,) on one scale, 0 to 100, higher is better, not clamped; MUSIQ's are its raw scores.

        100 (s - low) / (high - low), turned around where lower is better, of RGB (B, 3, H, W) in [0, 1]. OptionError
        where the metric's range is not known.
        """
        return scale_quality(self(images), self.lower_better, self.score_range)

    def gives_gradient(self) -> bool:
        """Return whether a gradient that is finite and not 0 reaches an image, tried on one of random pixels."""
        probe = torch.rand(1, 3, _PROBE_SIDE, _PROBE_SIDE, generator=torch.Generator().manual_seed(_SEED))
        tensors = [*self.parameters(), *self.buffers(), probe]
        probe = probe.to(tensors[0].device).requires_grad_()
        with torch.enable_grad():
            score = self(probe).sum()
            if not score.requires_grad:
                return False
            (gradient,) = torch.autograd.grad(score, probe, allow_unused=True)
        return gradient is not None and bool(gradient.isfinite().all() and gradient.any())

    def hash_weights(self) -> str:
        """Return the SHA-256, in hex, of the weights; "" where there are none.

        It is that of the bytes of the state dict in the order of its keys. pyiqa's NIQE, ILNIQE and the like keep their
        parameters outside of it, a registered function its own in files: then it is of those.
        """
        return hash_weights(self.net) or hash_loose(self.net)


def scale_quality(scores: Any, lower_better: bool, score_range: tuple[float, float]) -> Any:
    """Return scores, a tensor or an array, on the scale of `NRMetric.rate`.

    Example:
        >>> scale_quality(15.0, True, (0.0, 20.0))
        25.0
    """
    low, high = score_range
    if (low, high, lower_better) == (0.0, 100.0, False):
        return scores  # MUSIQ's, to the bit
    share = 100.0 * (scores - low) / (high - low)
    return 100.0 - share if lower_better else share


@contextmanager
def _fix_draws() -> Iterator[None]:
    with keep_generators():
        random.seed(_SEED)
        np.random.seed(_SEED)
        torch.default_generator.manual_seed(_SEED)
        yield


class ImageFunction(nn.Module):
    """A registered function of 8-bit images; as a network it passes no gradient.

    It takes `img`, BGR (H, W, 3) uint8, and perhaps `img2` and `device`. Of its further arguments crop_border is 0
    where it wants one and none is given.
    """

    def __init__(self, function: Callable[..., Any], options: Mapping[str, Any]) -> None:
        super().__init__()
        self.function = function
        self.options = {"crop_border": 0, **options} if takes(function, "crop_border") else dict(options)
        self.parameters_file = str(PRISTINE) if function is calculate_niqe else ""

    def score(self, img: NDArray[np.uint8], img2: NDArray[np.uint8] | None = None, device: str = "cpu") -> float:
        """Return the score of an image (H, W, 3), BGR, or of a pair."""
        given = {"img": img, "img2": img2, "device": device}
        return float(self.function(**{key: given[key] for key in given if takes(self.function, key)}, **self.options))

    def forward(self, images: Tensor) -> Tensor:
        """Return the scores (B,) of RGB (B, 3, H, W) in [0, 1], rounded to 8 bits."""
        bgr = (images.detach().clamp(0, 1) * 255).round().byte().flip(1).permute(0, 2, 3, 1).cpu().numpy()
        scores = [self.score(np.ascontiguousarray(image), device=str(images.device)) for image in bgr]
        return torch.tensor(scores, dtype=torch.float32, device=images.device)


def build_image_function(known: Metric, options: Mapping[str, Any]) -> ImageFunction:
    """Return the function of a metric that has one; OptionError where the options do not suit it."""
    made = ImageFunction(find_registered("metric", known.function), options)
    _require_arguments(known.name, made.function, made.options, ("img", "img2", "device"))
    return made


def hash_loose(net: nn.Module) -> str:
    """Return the SHA-256 of what a network without a state dict computes with: tensors, arrays and files of options."""
    digest, found = hashlib.sha256(), False
    for module in net.modules():
        for data in _iterate_loose([value for key, value in sorted(vars(module).items()) if key[0] != "_"]):
            digest.update(data)
            found = True
    return digest.hexdigest() if found else ""


def _iterate_loose(value: Any) -> Iterator[bytes]:
    if isinstance(value, Mapping | list | tuple):
        for part in value.values() if isinstance(value, Mapping) else value:
            yield from _iterate_loose(part)
    elif isinstance(value, Tensor | np.ndarray):
        array = np.asarray(value)
        yield from _iterate_loose(list(array.flat)) if array.dtype == object else [array.tobytes()]
    elif isinstance(value, str) and Path(value).is_file():
        yield Path(value).read_bytes()


def build_nr_metric(metric: str = "musiq", **options: Any) -> NRMetric:
    """Build a metric on the CPU; the global CPU generators are afterwards as they were.

    Args:
        metric: name of a no-reference metric, see catalog.find_metric.
        options: score_range: [low, high] for any; for "sfd_iqa" the arguments of calculate_sfd_iqa; for pyiqa's
            `weights`, a local file, and the arguments of its network, such as pretrained: false for random weights; for
            a registered function its arguments.

    Raises:
        OptionError: no such metric, options that do not suit it, or pyiqa is not installed.
        WeightsError: weights are not at hand, damaged or of another network.
        UserError: a package that the metric needs is not installed.

    Example:
        >>> metric, images = build_nr_metric("natural_scene"), torch.full((1, 3, 96, 96), 0.5)
        >>> metric(images), metric.rate(images)
        (tensor([21.4347]), tensor([-7.1736]))
    """
    known = find_metric(metric, "none")
    score_range = _read_range(options.pop("score_range", None))
    net: nn.Module
    with _fix_draws():
        if known.pyiqa:
            made = create_pyiqa(known.pyiqa, options, options.pop("weights", None))
            net, found_range = made.net, parse_range(made.score_range)
        elif known.function:
            net, found_range = build_image_function(known, options), (None, None)
        else:
            net, found_range = _OWN[known.name](known, options)
    return NRMetric(net, known.name, known.version, known.lower_better, score_range or found_range)


def list_nr_metric_needs(arguments: Mapping[str, Any], key: str) -> Iterator[Need]:
    """Yield what build_nr_metric loads for an entry with `metric` and, in it or in `metric_options`, its options.

    Example:
        >>> [need.what for need in list_nr_metric_needs({"metric": "pyiqa:musiq"}, "scoring")]
        ['metric:musiq']
    """
    inner = section(arguments, "metric_options")
    options, place = (inner, join(key, "metric_options")) if inner else (arguments, key)
    known = find_metric(str(arguments.get("metric", "musiq")))
    if known.name == "sfd_iqa":
        yield from list_sfd_iqa_needs(options, place)
    elif options.get("weights"):
        yield from file_needs(options, place, "weights")
    elif options.get("pretrained") is not False:
        yield from (Need(what, join(key, "metric")) for what in known.needs)


def _read_range(given: Sequence[float] | None) -> tuple[float, float] | None:
    if given is None:
        return None
    numbers = [end for end in given if isinstance(end, int | float)] if isinstance(given, list | tuple) else []
    if len(numbers) != 2 or not numbers[0] < numbers[1]:
        raise OptionError(f"score_range: must be [low, high] with low below high; got {given}")
    return float(numbers[0]), float(numbers[1])


def _build_natural_scene(known: Metric, options: dict[str, Any]) -> tuple[nn.Module, Range]:
    if options:
        raise OptionError(f"natural_scene has no option {next(iter(options))!r}; it takes score_range alone")
    return NaturalScene(), SCORE_RANGE


def _build_sfd_iqa(known: Metric, options: dict[str, Any]) -> tuple[nn.Module, Range]:
    from prismsr.metrics.sfd_iqa_metric import calculate_sfd_iqa

    _require_arguments(known.name, calculate_sfd_iqa, options, ("img", "crop_border", "input_order", "device"))
    # a copy: load_sfd_iqa keeps its networks for others, and whoever gets this metric may move it to a GPU
    return deepcopy(load_sfd_iqa(**options)), (0.0, 1.0)


_OWN = {"natural_scene": _build_natural_scene, "sfd_iqa": _build_sfd_iqa}


def _require_arguments(
    metric: str, function: Callable[..., Any], options: Mapping[str, Any], supplied: tuple[str, ...]
) -> None:
    problems = check_arguments(function, options, "", supplied=supplied)
    if problems:
        raise OptionError("; ".join(f"{metric}: {problem.key}: {problem.message}" for problem in problems))
