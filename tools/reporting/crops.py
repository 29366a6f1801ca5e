"""Crops of the report page: where the methods differ most, cut from all methods, GT and LQ alike."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any

from prismsr.tools.reporting.evaluations import Group, Scores
from prismsr.tools.reporting.images import GT, Image, ImageSet
from prismsr.utils.command_line import ROOT

import cv2
import numpy as np
from PIL import Image as PillowImage

Place = tuple[int, int]
OVERVIEW = 200  # pixels, the longer side of the small whole image


@dataclass(frozen=True)
class CropOptions:
    """How crops are chosen.

    Attributes:
        side: of a crop, in pixels of GT; smaller images are shown whole.
        max_images: in each data set.
        max_bytes: of all crops; those beyond are left out and told.
        places: left and top of crops that are given, by image.
        lq: folders of LQ images, by data set.
        bases: folders that relative paths of the summaries may start from.
    """

    side: int = 192
    max_images: int = 6
    max_bytes: int = 24 << 20
    places: Mapping[str, Sequence[Place]] = field(default_factory=dict)
    lq: Mapping[str, Path] = field(default_factory=dict)
    bases: Sequence[Path] = (Path(), ROOT)


@dataclass(frozen=True)
class Panel:
    """One method's crop as a lossless WebP file, and its scores of the whole image by column."""

    method: str
    data: bytes
    scores: Mapping[str, float]


@dataclass(frozen=True)
class Comparison:
    """One crop of all methods.

    Attributes:
        image: name.
        box: left, top, width, height in GT pixels.
        size: (width, height) of the whole image.
        overview: JPEG file of the whole image, small.
        panels: LQ, the methods, GT; those that there are.
    """

    image: str
    box: tuple[int, int, int, int]
    size: tuple[int, int]
    overview: bytes
    panels: tuple[Panel, ...]

    @property
    def frame(self) -> dict[str, float]:
        """Return the box in the whole image, as shares of its width and height."""
        return dict(zip(("left", "top", "width", "height"), np.divide(self.box, self.size * 2).tolist(), strict=True))

    @property
    def bytes(self) -> int:
        """Return size of its pictures."""
        return len(self.overview) + sum(len(panel.data) for panel in self.panels)


def compare(group: Group, options: CropOptions, problems: list[str]) -> list[Comparison]:
    """Cut the crops of a data set, as `choose` orders them; what is missing or does not fit is added to `problems`."""
    images = ImageSet(group, options.bases, options.lq.get(group.dataset), problems)
    wanted = choose(images, options)
    scores = {one.method: one.scores for one in group.evaluations}
    made: list[Comparison] = []
    for name, place in wanted:
        panels = images.add_others(name, images.read_methods(name))
        if not panels:
            continue
        one = _cut(name, panels, place, options.side, scores)
        if sum(other.bytes for other in made) + one.bytes > options.max_bytes:
            problems.append(f"{group.dataset}: {len(made)} of {len(wanted)} crops are shown, to bound the page's size")
            break
        made.append(one)
    return made


def choose(images: ImageSet, options: CropOptions) -> list[tuple[str, Place]]:
    """Choose image, left and top of each crop, in the order of the page.

    First come the places that were given: the first of each image, then the second. Then one each of the other images,
    those in which the methods differ most before the rest.
    """
    names = images.list_names()
    turns = zip_longest(
        *([(name, place) for place in options.places[name]] for name in options.places if name in names)
    )
    given = [one for turn in turns for one in turn if one]
    left = options.max_images - len(given)
    if left <= 0:
        return given
    ranked = []
    for name in names:
        made = [] if name in options.places else list(images.read_methods(name).values())
        if made:
            value, place = find_most_different(made, options.side)
            ranked.append((-value, name, place))
    return given + [(name, place) for _, name, place in sorted(ranked)[:left]]


def find_most_different(images: Sequence[Image], side: int) -> tuple[float, Place]:
    """Find where images differ most.

    Args:
        images: (H, W, 3) uint8, of one size; of a single one its detail is taken.
        side: of the crop, in pixels.

    Returns:
        Mean over the crop of the range over the images (grey levels), and left, top of the first such crop.
    """
    if len(images) > 1:
        spread = (np.maximum.reduce(images) - np.minimum.reduce(images)).mean(axis=2)
    else:
        spread = np.abs(cv2.Laplacian(images[0], cv2.CV_64F)).mean(axis=2)
    total = cv2.integral(spread.astype(np.float64))
    height, width = min(side, spread.shape[0]), min(side, spread.shape[1])
    sums = total[height:, width:] - total[:-height, width:] - total[height:, :-width] + total[:-height, :-width]
    top, left = np.unravel_index(np.argmax(sums), sums.shape)
    return float(sums[top, left] / (height * width)), (int(left), int(top))


def _cut(name: str, images: Mapping[str, Image], place: Place, side: int, scores: Mapping[str, Scores]) -> Comparison:
    whole = images.get(GT, next(iter(images.values())))
    height, width = whole.shape[:2]
    box_width, box_height = min(side, width), min(side, height)
    left, top = min(place[0], width - box_width), min(place[1], height - box_height)
    rows, columns = slice(top, top + box_height), slice(left, left + box_width)
    panels = tuple(
        Panel(method, encode(image[rows, columns], "WEBP", lossless=True), scores.get(method, {}).get(name, {}))
        for method, image in images.items()
    )
    overview = encode(whole, "JPEG", OVERVIEW, quality=80)
    return Comparison(name, (left, top, box_width, box_height), (width, height), overview, panels)


def encode(image: Image, kind: str, longest: int | None = None, **settings: Any) -> bytes:
    """Return a file of (H, W, 3) BGR, made smaller where a side is longer than `longest`."""
    picture = PillowImage.fromarray(np.ascontiguousarray(image[..., ::-1]))
    picture.thumbnail((longest or picture.width, longest or picture.height))
    buffer = io.BytesIO()
    picture.save(buffer, kind, **settings)
    return buffer.getvalue()
