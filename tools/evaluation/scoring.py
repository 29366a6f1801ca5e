"""Compute the scores that are missing: numpy's in several processes, the networks' in batches, one process per GPU."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any, NamedTuple

from prismsr.metrics.images import Align, Image, read_bgr, read_pair
from prismsr.metrics.no_reference import ImageFunction
from prismsr.metrics.psnr_ssim import planes, psnr, ssim
from prismsr.metrics.tensors import convolve_exactly, make_rgb_tensor
from prismsr.tools.evaluation.columns import MetricSpec, Scorer, build_network
from prismsr.tools.evaluation.matching import Item
from prismsr.utils.errors import DataError, UserError
from prismsr.utils.options.entries import find_registered
from prismsr.utils.processes import compute_ahead, iterate_in_processes, run_jobs
from prismsr.utils.weights.files import WeightsError

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm


class Unit(NamedTuple):
    """One score that is wanted: of an image, against one reference (-1: none), in a column."""

    name: str
    reference: int
    column: str


Wanted = tuple[Unit, ...]
_BAD_IMAGE = (
    ValueError, ArithmeticError, IndexError, RuntimeError, AssertionError, cv2.error, np.linalg.LinAlgError, UserError,
)  # fmt: skip


@dataclass
class Outcome:
    """Scores of one or several images, and by image what went wrong."""

    values: dict[Unit, float] = field(default_factory=dict)
    failures: dict[str, list[str]] = field(default_factory=dict)

    def fail(self, name: str, message: str) -> None:
        """Note a failure."""
        told = self.failures.setdefault(name, [])
        told += [message] * (message not in told)

    def keep(self, unit: Unit, value: float) -> None:
        """Note a score; one that is no number is a failure, and so is an infinite one without a reference."""
        if math.isnan(value) or (unit.reference < 0 and math.isinf(value)):
            self.fail(unit.name, f"{unit.name}: {unit.column} is {value}")
        else:
            self.values[unit] = value


Batch = Sequence[tuple[Item, Wanted]]


class Loaded:
    """The decoded images of a batch, and what became of them.

    `convert` is called with each image (H, W, 3), BGR uint8; for `align` see `read_pair`. `images` are by name and
    index of the reference, -1 for the SR image. `units` are the scores that can be made; `outcome` is what was made,
    and what went wrong.
    """

    def __init__(self, batch: Batch, align: Align, convert: Callable[[Image], Any] = lambda image: image) -> None:
        self.images: dict[tuple[str, int], Any] = {}
        self.outcome = Outcome()
        self._said: dict[str, str] = {}
        for item, wanted in batch:
            try:
                sr = read_bgr(item.sr)
                self.images[item.name, -1] = convert(sr)
                self._said[item.name] = f"failed on {sr.shape[1]} x {sr.shape[0]} pixels of {item.sr}"
                for index in dict.fromkeys(unit.reference for unit in wanted if unit.reference >= 0):
                    self.images[item.name, index] = convert(read_pair(sr, item.references[index], align))
            except DataError as error:
                self.outcome.fail(item.name, str(error))
        asked = [unit for _, wanted in batch for unit in wanted]
        self.units = [unit for unit in asked if {(unit.name, -1), (unit.name, unit.reference)} <= self.images.keys()]

    def score(self, units: Sequence[Unit], compute: Callable[[Sequence[Unit]], Sequence[float]]) -> None:
        """Keep the scores that `compute` gives for the units; if it fails for several, each is tried alone."""
        try:
            values = compute(units) if units else []
        except (WeightsError, torch.OutOfMemoryError):  # not the image's fault
            raise
        except _BAD_IMAGE as error:
            if len(units) == 1:
                (unit,) = units
                self.outcome.fail(unit.name, f"{unit.name}: {unit.column} {self._said[unit.name]}: {error}")
            for unit in units if len(units) > 1 else ():
                self.score([unit], compute)
            return
        for unit, value in zip(units, values, strict=True):
            self.outcome.keep(unit, value)


# ----------------------------------------------------------------------------------------------------------- pixels


def score_pixels(name: str, item: Item, wanted: Wanted, specs: Mapping[str, MetricSpec], align: Align) -> Outcome:
    """Return the scores of one image without a network; each file is decoded once, each pair of planes made once.

    `name` is for messages, `specs` are by column; `align` see `read_pair`.
    """
    loaded = Loaded([(item, wanted)], align)
    for index in dict.fromkeys(unit.reference for unit in loaded.units):
        pair = _Pair(loaded.images[name, -1], None if index < 0 else loaded.images[name, index], specs)
        for unit in (unit for unit in loaded.units if unit.reference == index):
            loaded.score([unit], pair.score)
    return loaded.outcome


class _Pair:
    """An image, and a reference where there is one."""

    def __init__(self, sr: Image, gt: Image | None, specs: Mapping[str, MetricSpec]) -> None:
        self.sr, self.gt, self.specs = sr, gt, specs
        self.planes = cache(lambda *how: [planes(image, *how) for image in (sr, gt) if image is not None])

    def score(self, units: Sequence[Unit]) -> list[float]:
        """Return the score of one unit."""
        spec = self.specs[units[0].column]
        known, settings = spec.known, spec.fill_settings()
        if known.function:
            function = ImageFunction(find_registered("metric", known.function), settings)
            with known.tell_lack(self.sr.shape[:2], settings.get("crop_border", 0)):
                return [function.score(self.sr, self.gt)]
        of_pyiqa = settings["variant"] == "pyiqa"
        sr, gt = self.planes(settings["crop_border"], settings["y_channel"], of_pyiqa and known.name == "ssim")
        return [psnr(sr, gt, offset=1e-8 * of_pyiqa) if known.name == "psnr" else ssim(sr, gt, clipped=of_pyiqa)]


def run_pixels(
    jobs: Batch, specs: Mapping[str, MetricSpec], align: Align, workers: int, consume: Callable[[Outcome], None]
) -> None:
    """Run `score_pixels` on all images in `workers` processes."""
    work = partial(score_pixels, specs=specs, align=align)
    named = [(item.name, item, wanted) for item, wanted in jobs]
    run_jobs(work, named, workers=workers, label=", ".join(specs), consume=consume)


# ---------------------------------------------------------------------------------------------------------- networks

Networks = Sequence[tuple[MetricSpec, nn.Module]]
"""The columns, each with its network on its device."""


def split_batches(jobs: Batch, sizes: Mapping[str, tuple[int, int]], limit: int) -> list[Batch]:
    """Return images of equal size together, at most `limit`; one whose size is not known is alone."""
    by_size: dict[Any, list[tuple[Item, Wanted]]] = {}
    for job in jobs:
        by_size.setdefault(sizes.get(job[0].name, job[0].name), []).append(job)
    return [group[start : start + limit] for group in by_size.values() for start in range(0, len(group), limit)]


def score_batch(loaded: Loaded, networks: Networks, device: str) -> Outcome:
    """Return all scores of a batch of tensors; UserError where the device's memory is too small."""
    for spec, network in networks:
        units = [unit for unit in loaded.units if unit.column == spec.column]
        compute = partial(_compute_by_network, spec=spec, network=network, images=loaded.images, device=device)
        try:
            for group in [units] if spec.known.batched else [[unit] for unit in units]:
                loaded.score(group, compute)
        except torch.OutOfMemoryError as error:
            told = f"{spec.column}: the memory of {device} is too small ({error}); use a smaller --batch"
            raise UserError(told) from error
    return loaded.outcome


@torch.no_grad()
def _compute_by_network(
    units: Sequence[Unit], spec: MetricSpec, network: nn.Module, images: Mapping[tuple[str, int], Tensor], device: str
) -> list[float]:
    sides = [torch.stack([images[unit.name, -1] for unit in units])]
    if units[0].reference >= 0:
        sides.append(torch.stack([images[unit.name, unit.reference] for unit in units]))
    border = spec.fill_settings()["crop_border"]
    if 2 * border >= min(sides[0].shape[-2:]):
        raise ValueError(f"crop_border {border} leaves nothing of the image")
    inner = slice(border, -border or None)
    with convolve_exactly(), spec.known.tell_lack(sides[0].shape[-2:], border):
        values: list[float] = network(*(side.to(device)[..., inner, inner] for side in sides)).tolist()
    return values


def run_networks(
    work: Sequence[Batch],
    scorers: Sequence[Scorer],
    align: Align,
    devices: Sequence[str],
    consume: Callable[[Outcome], None],
) -> None:
    """Make all scores of the batches `work` by networks: in this process on one device, or a process on each of
    several.

    Args:
        scorers: those with a network, but not of sets.
        align: see `read_pair`.
        consume: called in this process with each outcome.

    Raises:
        JobError: a process died.
    """
    if not work:
        return
    if len(devices) == 1:
        networks = [(scorer.spec, scorer.network.to(devices[0])) for scorer in scorers if scorer.network]
        outcomes = _score_batches(work, networks, align, devices[0])
    else:
        specs = [scorer.spec for scorer in scorers]
        shares = [(work[index :: len(devices)], specs, align, device) for index, device in enumerate(devices)]
        outcomes = iterate_in_processes(_score_share, shares, "use a smaller --batch or one --device")
    with tqdm(total=sum(map(len, work)), desc=", ".join(scorer.column for scorer in scorers), unit="image") as bar:
        for count, outcome in outcomes:
            consume(outcome)
            bar.update(count)


def _score_batches(
    work: Sequence[Batch], networks: Networks, align: Align, device: str
) -> Iterator[tuple[int, Outcome]]:
    """Yield the number of images of each batch and its scores; the next batch is decoded meanwhile."""
    loaded = compute_ahead(lambda batch: Loaded(batch, align, make_rgb_tensor), work)
    for batch, images in zip(work, loaded, strict=True):
        yield len(batch), score_batch(images, networks, device)


def _score_share(
    work: Sequence[Batch], specs: Sequence[MetricSpec], align: Align, device: str
) -> Iterator[tuple[int, Outcome]]:
    """Do as `_score_batches` in a process that builds the networks itself."""
    networks = [(spec, build_network(spec).to(device)) for spec in specs]
    return _score_batches(work, networks, align, device)
