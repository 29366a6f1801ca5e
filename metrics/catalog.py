"""The one catalogue of metrics: what a name means to every tool and option file.

It is readable without torch, BasicSR and pyiqa, whose names are read from its table of configurations.
"""

import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

from prismsr.utils.errors import DataError, OptionError, UserError
from prismsr.utils.names import did_you_mean
from prismsr.utils.options.problems import Problem, join
from prismsr.version import __version__

Reference = Literal["none", "full", "set"]
"""none: one image is judged; full: an image is compared with another; set: whole sets of images are compared."""
PYIQA = "pyiqa:"
_REGISTERED = "calculate-"
_SAYS = {"none": "judges single images", "full": "compares two images", "set": "compares whole sets of images"}
_WANTED = {"none": "a no-reference metric", "full": "a metric that compares two images", "set": "a metric of sets"}
_OF_SETS = ("fid", "sfid", "fid_dinov2", "inception_score")  # pyiqa counts them among those without reference


@dataclass(frozen=True)
class Metric:
    """A quality metric.

    Attributes:
        name: where it is read dashes and underscores are alike; a dash stands before a variant, as in pyiqa's names.
        column: its name in tables, the papers' one.
        reference: see `Reference`.
        lower_better: whether a lower score means better quality.
        source: the package that computes it.
        tolerance: largest difference from a paper's figure that counts as reproduced, in its unit. The choice is ours.
        papers: other names that the papers' tables have for it.
        pyiqa: pyiqa's name of the network that it is made with; "" where it is made without pyiqa.
        function: registered name of the function that computes it from 8-bit images; "" where there is none.
        pixels: it needs no network: several processes share the images.
        batched: several images at once give what each gives alone.
        needs: the weights that it needs, in the words of utils/weights/needs.py.
        least: shorter and longer side in pixels that an image needs at least, where known; NIQE needs two blocks,
            LPIPS what AlexNet needs.
    """

    name: str
    column: str
    reference: Reference
    lower_better: bool
    source: str
    tolerance: float = 0.0
    papers: tuple[str, ...] = ()
    pyiqa: str = ""
    function: str = ""
    pixels: bool = False
    batched: bool = True
    needs: tuple[str, ...] = ()
    least: tuple[int, int] = (1, 1)

    @property
    def printed(self) -> tuple[str, ...]:
        """Return all names that the papers' tables may have for it."""
        return (self.column, self.name, *self.papers)

    def describe_lack(self, size: Sequence[int], crop_border: int = 0) -> str:
        """Return what an image of (height, width) lacks for the metric without its border, "" where it is large enough.

        Example:
            >>> find_metric("niqe").describe_lack((100, 195), 2), find_metric("niqe").describe_lack((192, 96))
            ('NIQE needs 96 x 192 pixels or more; got 191 x 96', '')
        """
        height, width = (side - 2 * crop_border for side in size)
        shorter, longer = sorted((height, width))
        if shorter >= self.least[0] and longer >= self.least[1]:
            return ""
        return f"{self.column} needs {self.least[0]} x {self.least[1]} pixels or more; got {width} x {height}"

    @contextmanager
    def tell_lack(self, size: Sequence[int], crop_border: int = 0) -> Iterator[None]:
        """Raise DataError in place of what a package says inside the block where the image is too small for it."""
        try:
            yield
        except UserError:
            raise
        except Exception as error:
            if lack := self.describe_lack(size, crop_border):
                raise DataError(lack) from error
            raise

    @property
    def version(self) -> str:
        """Return package and version, which a score depends on."""
        if self.source == "prismsr":
            return f"prismsr {__version__}"
        try:
            return f"{self.source} {version(self.source)}"
        except PackageNotFoundError:  # a user's own module
            return self.source


_FORMULAS = ("piqe",)
"""Of pyiqa, but with nothing to load."""


def _make_network(
    name: str,
    column: str,
    tolerance: float = 0.0,
    *papers: str,
    pyiqa: str = "",
    reference: Reference = "none",
    lower_better: bool = False,
    batched: bool = True,
    least: tuple[int, int] = (1, 1),
) -> Metric:
    made_with, needs = pyiqa or name, () if name in _FORMULAS else (f"metric:{name}",)
    more: dict[str, Any] = {"batched": batched, "needs": needs, "least": least}
    return Metric(name, column, reference, lower_better, "pyiqa", tolerance, papers, made_with, **more)


TABLE = (
    Metric("psnr", "PSNR", "full", False, "prismsr", 0.1, pixels=True),
    Metric("ssim", "SSIM", "full", False, "prismsr", 0.005, pixels=True, least=(11, 11)),
    Metric("niqe", "NIQE", "none", True, "basicsr", 0.15, function="calculate_niqe", pixels=True, least=(96, 192)),
    Metric("lpips-st", "LPIPS-ST", "full", True, "stlpips_pytorch", 0.01, least=(21, 21)),
    Metric("fid", "FID", "set", True, "prismsr", 2.0, pyiqa="fid", needs=("metric:fid",)),
    Metric("natural_scene", "natural-scene", "none", True, "prismsr", least=(96, 96)),
    Metric("sfd_iqa", "SFD-IQA", "none", False, "prismsr", needs=("clip:RN50-quickgelu:openai",), least=(32, 32)),
    _make_network("lpips", "LPIPS", 0.01, reference="full", lower_better=True, least=(31, 31)),
    _make_network("dists", "DISTS", 0.01, reference="full", lower_better=True),
    _make_network("niqe-pyiqa", "NIQE", 0.15, "nique", pyiqa="niqe", lower_better=True, batched=False),
    _make_network("musiq", "MUSIQ", 0.5),
    _make_network("clipiqa", "CLIPIQA", 0.01, "CLIP-IQA"),
    _make_network("maniqa", "MANIQA", 0.01, "maniqua"),
    _make_network("maniqa-pipal", "MANIQA", 0.01, "maniqua-pipal"),
    _make_network("nima", "NIMA", 0.05),
    _make_network("qalign", "Q-Align", 0.05, batched=False),
    _make_network("topiq_nr", "TOPIQ", 0.02),
)  # fmt: skip
"""The metrics with a name in the papers' tables, and ours. All others of pyiqa have pyiqa's name there."""
_ALIASES = {"topiq": "topiq-nr"}
_PAPERS = {"ilniqe": ("IL-NIQE",), "niqe_matlab": ("NIQE", "nique_matlab"), "maniqa-kadid": ("maniqua-kadid",)}
"""Further names of pyiqa's metrics in the tables of SFD and AMO."""


def find_metric(name: str, *references: Reference) -> Metric:
    """Return the metric of this name; dashes and underscores are alike.

    `pyiqa:NAME` is pyiqa's where both it and another package have a NAME. The name of a function in BasicSR's registry
    may be given without `calculate_`. `references` are what the caller can use; nothing for any.

    Raises:
        OptionError: there is no such metric, or it is of another kind than `references`.

    Example:
        >>> find_metric("lpips_st").name, find_metric("pyiqa:niqe").name, find_metric("niqe").source
        ('lpips-st', 'niqe-pyiqa', 'basicsr')
        >>> find_metric("psnr", "none")
        Traceback (most recent call last):
        prismsr.utils.errors.OptionError: psnr compares two images; a no-reference metric is needed here
    """
    metric = _look_up(name)
    if metric is None:
        without = "" if _read_pyiqa_configs() else " (the package pyiqa, which has many more, is not installed)"
        raise OptionError(f"no metric named {name!r}{did_you_mean(name, list_metrics())}{without}")
    if references and metric.reference not in references:
        wanted = " or ".join(_WANTED[reference] for reference in references)
        raise OptionError(f"{name} {_SAYS[metric.reference]}; {wanted} is needed here")
    return metric


def list_metrics(*references: Reference) -> list[str]:
    """Return the names of all metrics but those that only BasicSR's registry knows; of these kinds, if any are given.

    Example:
        >>> list_metrics("full")[:4]
        ['psnr', 'ssim', 'lpips-st', 'lpips']
    """
    found = {metric.name: metric for metric in _make_catalogue().values()}
    return [name for name, metric in found.items() if not references or metric.reference in references]


def _look_up(name: str) -> Metric | None:
    spelled = _normalise(name)
    plain = spelled.removeprefix(_REGISTERED)
    found = _make_catalogue().get(plain)
    if found is not None and (plain == spelled or found.source != "pyiqa"):
        return found
    return _find_function(spelled)


def _normalise(name: str) -> str:
    return name.replace("_", "-")


@lru_cache(maxsize=1)
def _make_catalogue() -> dict[str, Metric]:
    """Return all metrics but the registered ones by their spellings with dashes."""
    found = {_normalise(metric.name): metric for metric in TABLE}
    for name, known in _ALIASES.items():
        found[name] = found[known]
    listed = {metric.pyiqa: metric for metric in TABLE if metric.source == "pyiqa"}
    for name, config in _read_pyiqa_configs().items():
        metric = listed.setdefault(name, _describe_pyiqa(name, config, f"{name}-pyiqa" if name in found else name))
        found[_normalise(metric.name)] = metric
    return found | {PYIQA + _normalise(name): metric for name, metric in listed.items()}


def _describe_pyiqa(name: str, config: Mapping[str, Any], own: str) -> Metric:
    reference: Reference = "set" if name in _OF_SETS else "full" if config.get("metric_mode") == "FR" else "none"
    lower = bool(config.get("lower_better"))
    papers = _PAPERS.get(name, ())
    return _make_network(own, own, 0.0, *papers, pyiqa=name, reference=reference, lower_better=lower, batched=False)


@lru_cache(maxsize=1)
def _read_pyiqa_configs() -> Mapping[str, Mapping[str, Any]]:
    """Return pyiqa's table of configurations, empty where it is not installed. It is not imported: seconds."""
    package = importlib.util.find_spec("pyiqa")
    if package is None or not package.submodule_search_locations:
        return {}
    path = Path(package.submodule_search_locations[0], "default_model_configs.py")
    spec = importlib.util.spec_from_file_location("pyiqa_metric_names", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.DEFAULT_CONFIGS


def _find_function(spelled: str) -> Metric | None:
    """Return a metric of BasicSR's registry that the catalogue does not have, such as a user's own."""
    from prismsr.utils.options.entries import find_registered, registered_names
    from prismsr.utils.options.signatures import takes

    wanted = (spelled, _REGISTERED + spelled)
    found = next((name for name in registered_names("metric") if _normalise(name) in wanted), None)
    if found is None or found.endswith("_pt"):  # BasicSR's functions of tensors, which losses call
        return None
    function, name = find_registered("metric", found), found.removeprefix("calculate_")
    reference: Reference = "full" if takes(function, "img2") else "none"
    lower = getattr(function, "better", "higher") == "lower"
    package = str(function.__module__).partition(".")[0]
    pixels = reference == "full" or not takes(function, "device")
    return Metric(name, name, reference, lower, package, function=found, pixels=pixels, batched=False)


def check_no_reference(entry: Mapping[str, Any], key: str, opt: Mapping[str, Any], is_train: bool) -> Iterator[Problem]:
    """Check that `metric` of an entry is a no-reference metric; the hook of whoever builds it.

    Example:
        >>> [problem.message for problem in check_no_reference({"metric": "ssim"}, "scoring", {}, True)]
        ['ssim compares two images; a no-reference metric is needed here']
    """
    name = entry.get("metric", "musiq")
    if not isinstance(name, str):
        yield Problem(join(key, "metric"), f"must be the name of a metric; got {name!r}")
        return
    try:
        find_metric(name, "none")
    except OptionError as error:
        yield Problem(join(key, "metric"), str(error))
