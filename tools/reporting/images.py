"""The images of a data set on the report page: files of every method, GT and LQ by name, read to one size."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from prismsr.data.images.source import FolderSource
from prismsr.data.test_sets.sets import TEST_SETS
from prismsr.metrics.images import read_bgr
from prismsr.tools.evaluation.matching import SEPARATOR, find_common_suffix, find_group
from prismsr.tools.reporting.evaluations import Group, read_results
from prismsr.utils.errors import DataError, UserError
from prismsr.utils.images import IMAGE_SUFFIXES

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
GT, LQ = "GT", "LQ"


def read_images(results: Path, titles: Mapping[str, str], base: Path) -> dict[str, dict[str, Image]]:
    """Read the images of a data set that all these methods have, with GT.

    Args:
        results: folder of the evaluations.
        titles: what a method is called, by its folder there.
        base: folder that relative paths of the summaries may start from.

    Returns:
        Image -> title or GT -> (H, W, 3) BGR.
    """
    (group,) = read_results(results, [f"{name}={title}" for name, title in titles.items()], [])
    images = ImageSet(group, (base,), None, [])
    return {name: images.add_others(name, images.read_methods(name)) for name in images.list_names()}


class ImageSet:
    """Files of a data set by method and image.

    Args:
        group: the evaluations.
        bases: folders that relative paths of the summaries may start from.
        lq: folder of the LQ images; None for that of a public test set, where it is there.
        problems: receives what is missing or does not fit.
    """

    def __init__(self, group: Group, bases: Sequence[Path], lq: Path | None, problems: list[str]) -> None:
        self.dataset, self._bases, self._problems = group.dataset, bases, problems
        self._gt = self._find_ground_truths(
            sorted({gt for one in group.evaluations if (gt := one.summary.gt) is not None})
        )
        self._methods = {}
        for one in group.evaluations:
            if files := self._find_files(one.summary.sr, f"{one.method}: the SR images"):
                self._methods[one.method] = index_by_name(files, self._gt)
        known = TEST_SETS.get(group.dataset)
        folder = str(lq) if lq else known.lq if known and known.lq and locate(known.lq, bases) else None
        self._lq = index_by_name(self._find_files(folder, "the LQ images"), self._gt) if folder else {}
        if self._methods and not self.list_names():
            problems.append(f"{group.dataset}: no image is there for every method, so there are no crops")

    def list_names(self) -> list[str]:
        """Return the images that all methods have, of those that have any."""
        held = [set(files) for files in self._methods.values()]
        return sorted(set.intersection(*held)) if held else []

    def read_methods(self, name: str) -> dict[str, Image]:
        """Read (H, W, 3) BGR of an image by method, all of the first one's size."""
        made: dict[str, Image] = {}
        for method, files in self._methods.items():
            self._add(made, method, files[name])
        return made

    def add_others(self, name: str, made: Mapping[str, Image]) -> dict[str, Image]:
        """Return the methods' images with LQ before them and GT behind them, where there are any."""
        found = dict(made)
        for method, files in ((LQ, self._lq), (GT, self._gt)):
            path = files.get(name, files.get(find_group(name)))
            if path is not None and made:
                self._add(found, method, path)
        return {name: found[name] for name in (LQ, *made, GT) if name in found}

    def _find_files(self, folder: str, what: str) -> dict[str, Path]:
        place = locate(folder, self._bases)
        if place is None:
            self._problems.append(f"{self.dataset}: {what} are not there (any more): {folder}")
            return {}
        try:
            return FolderSource(place, IMAGE_SUFFIXES).paths
        except UserError as error:
            self._problems.append(f"{self.dataset}: {what}: {error}")
            return {}

    def _find_ground_truths(self, folders: Sequence[str]) -> dict[str, Path]:
        if not folders:
            return {}
        if len(folders) > 1:
            self._problems.append(f"{self.dataset}: GTs lie in {', '.join(folders)}; the first are shown")
        several = f"{folders[0]}/original"  # a folder per version: the original is shown
        return self._find_files(several if locate(several, self._bases) else folders[0], "the ground truths")

    def _add(self, images: dict[str, Image], method: str, path: Path) -> None:
        try:
            image = read_bgr(path)
        except DataError as error:
            self._problems.append(f"{self.dataset}, {method}: {error}")
            return
        shape = next(iter(images.values()), image).shape[:2]
        fitted = enlarge(image, shape) if method == LQ else cut_to(image, shape, method == GT)
        if fitted is None:
            size = f"{image.shape[1]} x {image.shape[0]} pixels, the first method's image {shape[1]} x {shape[0]}"
            self._problems.append(f"{self.dataset}, {method}: {path} does not fit: {size}")
            return
        images[method] = fitted


def locate(folder: str, bases: Iterable[Path]) -> Path | None:
    """Return the folder, from the first of the bases where it is; None where it is nowhere."""
    return next((base / folder for base in bases if (base / folder).is_dir()), None)


def index_by_name(files: Mapping[str, Path], gt: Mapping[str, Path]) -> dict[str, Path]:
    """Return files by name without the suffix that they have beyond the GTs' names; NAME+ANYTHING stays as it is."""
    suffix = find_common_suffix(files, gt)
    if suffix.startswith(SEPARATOR):
        return dict(files)
    return {key.removesuffix(suffix): path for key, path in files.items()}


def cut_to(image: Image, shape: tuple[int, ...], may_cut: bool) -> Image | None:
    """Return the image if it has this (height, width), a larger one cut to it if it may be, else None."""
    if image.shape[:2] == shape:
        return image
    larger = image.shape[0] >= shape[0] and image.shape[1] >= shape[1]
    return image[: shape[0], : shape[1]] if may_cut and larger else None


def enlarge(image: Image, shape: tuple[int, ...]) -> Image | None:
    """Enlarge an LQ image to this (height, width) by repeating pixels; return None where that is no whole factor."""
    factor = shape[0] // image.shape[0]
    if factor < 1 or (image.shape[0] * factor, image.shape[1] * factor) != shape:
        return None
    return image.repeat(factor, axis=0).repeat(factor, axis=1)
