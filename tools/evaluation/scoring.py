"""Compute the scores that are missing: numpy's in several processes, the networks' in batches, one process per GPU."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

from prismsr.metrics.images import Align, Image, exact_convolutions, read_bgr, read_pair, rgb_tensor
from prismsr.metrics.no_reference import ImageFunction
from prismsr.metrics.psnr_ssim import Plane, planes, psnr, ssim
from prismsr.tools.evaluation.columns import MetricSpec, Scorer, build_network
from prismsr.tools.evaluation.matching import Item
from prismsr.utils.errors import DataError, UserError
from prismsr.utils.options.entries import find_registered
from prismsr.utils.processes import iterate_in_processes, run_jobs
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


# ----------------------------------------------------------------------------------------------------------- pixels


def score_pixels(name: str, item: Item, wanted: Wanted, specs: Mapping[str, MetricSpec], align: Align) -> Outcome:
    """Return the scores of one image without a network; each file is decoded once, each pair of planes made once.

    Args:
        name: for messages.
        item: the image.
        wanted: the scores to make.
        specs: by column.
        align: see `read_pair`.
    """
    outcome = Outcome()
    cached: dict[Any, list[Plane]] = {}
    try:
        sr = read_bgr(item.sr)
    except DataError as error:
        outcome.fail(name, str(error))
        return outcome
    for index in dict.fromkeys(unit.reference for unit in wanted):
        try:
            gt = None if index < 0 else read_pair(sr, item.references[index], align)
        except DataError as error:
            outcome.fail(name, str(error))
            continue
        cached.clear()
        for unit in (unit for unit in wanted if unit.reference == index):
            try:
                outcome.keep(unit, _pixel_score(sr, gt, specs[unit.column], cached))
            except WeightsError:  # not the image's fault
                raise
            except _BAD_IMAGE as error:
                outcome.fail(name, f"{item.sr}: {unit.column} failed on {describe_size(sr)}: {error}")
    return outcome


def _pixel_score(sr: Image, gt: Image | None, spec: MetricSpec, cached: dict[Any, list[Plane]]) -> float:
    known, settings = spec.known, spec.full_settings()
    if known.function:
        return ImageFunction(find_registered("metric", known.function), settings).score(sr, gt)
    assert gt is not None
    of_pyiqa = settings["variant"] == "pyiqa"
    how = settings["crop_border"], settings["y_channel"], of_pyiqa and known.name == "ssim"
    for which, image in enumerate((sr, gt)):
        if (which, how) not in cached:
            cached[which, how] = planes(image, *how)
    pair = cached[0, how], cached[1, how]
    return psnr(*pair, offset=1e-8 * of_pyiqa) if known.name == "psnr" else ssim(*pair, clipped=of_pyiqa)


def describe_size(image: Image | Tensor) -> str:
    """Return the size of an image (H, W, 3), or of a batch (B, 3, H, W), in words."""
    height, width = image.shape[-2:] if isinstance(image, Tensor) else image.shape[:2]
    return f"{width} x {height} pixels"


def run_pixels(
    jobs: Sequence[tuple[Item, Wanted]],
    specs: Mapping[str, MetricSpec],
    align: Align,
    workers: int,
    consume: Callable[[Outcome], None],
) -> None:
    """`score_pixels` of all images in `workers` processes."""
    work = partial(score_pixels, specs=specs, align=align)
    named = [(item.name, item, wanted) for item, wanted in jobs]
    run_jobs(work, named, workers=workers, label=", ".join(specs), consume=consume)


# ---------------------------------------------------------------------------------------------------------- networks

Batch = tuple[tuple[Item, Wanted], ...]
Networks = Sequence[tuple[MetricSpec, nn.Module]]
"""The columns, each with its network on its device."""


def batches(jobs: Sequence[tuple[Item, Wanted]], sizes: Mapping[str, tuple[int, int]], limit: int) -> list[Batch]:
    """Images of equal size together, at most `limit`; one whose size is not known is alone."""
    by_size: dict[Any, list[tuple[Item, Wanted]]] = {}
    for job in jobs:
        by_size.setdefault(sizes.get(job[0].name, job[0].name), []).append(job)
    return [tuple(group[start : start + limit]) for group in by_size.values() for start in range(0, len(group), limit)]


class Loaded:
    """The decoded images of a batch.

    Attributes:
        files: by name.
        sr: (3, H, W) by name.
        gt: the same by name and index of the reference.
        failures: what could not be read.
    """

    def __init__(self, batch: Batch, align: Align) -> None:
        self.wanted = [unit for _, wanted in batch for unit in wanted]
        self.files = {item.name: item.sr for item, _ in batch}
        self.sr: dict[str, Tensor] = {}
        self.gt: dict[tuple[str, int], Tensor] = {}
        self.outcome = Outcome()
        for item, wanted in batch:
            try:
                self._read(item, wanted, align)
            except DataError as error:
                self.outcome.fail(item.name, str(error))

    def _read(self, item: Item, wanted: Wanted, align: Align) -> None:
        sr = read_bgr(item.sr)
        self.sr[item.name] = rgb_tensor(sr)
        for index in {unit.reference for unit in wanted if unit.reference >= 0}:
            self.gt[item.name, index] = rgb_tensor(read_pair(sr, item.references[index], align))

    def of(self, column: str) -> list[Unit]:
        """The scores of a column that can be made."""
        units = [unit for unit in self.wanted if unit.column == column and unit.name in self.sr]
        return [unit for unit in units if unit.reference < 0 or (unit.name, unit.reference) in self.gt]


def score_batch(loaded: Loaded, networks: Networks, device: str) -> Outcome:
    """All scores of a batch.

    Raises:
        UserError: the device's memory is too small.
    """
    outcome = loaded.outcome
    for spec, network in networks:
        units = loaded.of(spec.column)
        for group in [units] if spec.known.batched else [[unit] for unit in units]:
            _score_units(group, spec, network, loaded, device, outcome)
    return outcome


def _score_units(
    units: list[Unit], spec: MetricSpec, network: nn.Module, loaded: Loaded, device: str, outcome: Outcome
) -> None:
    if not units:
        return
    try:
        values = _network_values(units, spec, network, loaded, device)
    except torch.OutOfMemoryError as error:
        raise UserError(
            f"{spec.column}: the memory of {device} is too small ({error}); use a smaller --batch"
        ) from error
    except WeightsError:  # not the image's fault
        raise
    except _BAD_IMAGE as error:
        if len(units) > 1:  # the trouble may be one image's
            for unit in units:
                _score_units([unit], spec, network, loaded, device, outcome)
        else:
            size = describe_size(loaded.sr[units[0].name])
            outcome.fail(units[0].name, f"{loaded.files[units[0].name]}: {spec.column} failed on {size}: {error}")
        return
    for unit, value in zip(units, values, strict=True):
        outcome.keep(unit, value)


@torch.no_grad()
def _network_values(
    units: list[Unit], spec: MetricSpec, network: nn.Module, loaded: Loaded, device: str
) -> list[float]:
    sides = [torch.stack([loaded.sr[unit.name] for unit in units])]
    if units[0].reference >= 0:
        sides.append(torch.stack([loaded.gt[unit.name, unit.reference] for unit in units]))
    border = spec.full_settings()["crop_border"]
    if 2 * border >= min(sides[0].shape[-2:]):
        raise ValueError(f"crop_border {border} leaves nothing of the image")
    inner = slice(border, -border or None)
    with exact_convolutions():
        values: list[float] = network(*(side.to(device)[..., inner, inner] for side in sides)).tolist()
    return values


def run_networks(
    work: Sequence[Batch],
    scorers: Sequence[Scorer],
    align: Align,
    devices: Sequence[str],
    consume: Callable[[Outcome], None],
) -> None:
    """All scores by networks: in this process on one device, in a process of its own on each of several.

    Args:
        work: what is to be made.
        scorers: those with a network, but not of sets.
        align: see `read_pair`.
        devices: torch devices.
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
    with ThreadPoolExecutor(1) as reader:
        loading = reader.submit(Loaded, work[0], align) if work else None
        for index, batch in enumerate(work):
            assert loading is not None
            loaded = loading.result()
            if index + 1 < len(work):
                loading = reader.submit(Loaded, work[index + 1], align)
            yield len(batch), score_batch(loaded, networks, device)


def _score_share(
    work: Sequence[Batch], specs: Sequence[MetricSpec], align: Align, device: str
) -> Iterator[tuple[int, Outcome]]:
    """As `_score_batches`, in a process that builds the networks itself."""
    networks = [(spec, build_network(spec).to(device)) for spec in specs]
    return _score_batches(work, networks, align, device)
