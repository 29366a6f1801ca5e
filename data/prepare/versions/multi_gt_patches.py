"""The patches of one image and its enhanced versions as files, and the figures by which they were chosen."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from prismsr.data.prepare.versions.filters import Enhancer
from prismsr.data.prepare.versions.patch_selection import (
    PatchFigures,
    PatchRule,
    is_kept,
    make_image_rng,
    measure_patch,
    place_patches,
)
from prismsr.utils.csv_files import write_rows
from prismsr.utils.errors import DataError
from prismsr.utils.files import atomic_write
from prismsr.utils.images import eight_bit_bgr, read_image, write_png_atomic

ORIGINAL = "original"
DONE = ".selection"  # hidden folder with a JSON file for each image that is done


@dataclass(frozen=True)
class ImageResult:
    """What came of one image: its patches by corner (row, column), and the number of files written now."""

    key: str
    patches: dict[tuple[int, int], PatchFigures]
    written: int


def write_patches(
    path: Path, key: str, output: Path, enhancers: Sequence[Enhancer], rule: PatchRule, seed: int, run_id: str
) -> ImageResult:
    """Enhance an image, and write those of its kept patches that do not exist yet; nothing where all is done.

    Alpha is refused, 16 bits become 8. Enhancers make the versions 01, 02, ... A mark of this `run_id` says that an
    image is finished.

    Raises:
        DataError: unreadable, or smaller than a patch.
    """
    mark = output / DONE / f"{key}.json"
    done = _read_mark(mark, run_id)
    if done is not None and _all_there(done, rule, output, key, len(enhancers)):
        return ImageResult(key, done, 0)
    original = eight_bit_bgr(read_image(path), str(path))
    height, width = original.shape[:2]
    if min(height, width) < rule.crop:
        text = f"hold no patch of {rule.crop} x {rule.crop}; use a smaller --crop"
        raise DataError(f"{path}: {height} x {width} pixels (height x width) {text}")
    versions = [original, *(enhancement(original) for enhancement in enhancers)]
    patches: dict[tuple[int, int], PatchFigures] = {}
    written = 0
    for row, column in place_patches(height, width, rule, make_image_rng(seed, key)):
        cut = [version[row : row + rule.crop, column : column + rule.crop] for version in versions]
        figures = patches[row, column] = measure_patch(cut)
        if is_kept(figures, rule):
            targets = zip(list_targets(output, key, (row, column), len(enhancers)), cut, strict=True)
            for target, version in [(target, version) for target, version in targets if not target.exists()]:
                write_png_atomic(target, version)
                written += 1
    rows = [[*corner, one.stds, one.laplacians, one.difference] for corner, one in patches.items()]
    atomic_write(mark, json.dumps({"run": run_id, "patches": rows}).encode())
    return ImageResult(key, patches, written)


def _all_there(
    patches: dict[tuple[int, int], PatchFigures], rule: PatchRule, output: Path, key: str, count: int
) -> bool:
    kept = [corner for corner, figures in patches.items() if is_kept(figures, rule)]
    return all(target.exists() for corner in kept for target in list_targets(output, key, corner, count))


def list_targets(output: Path, key: str, corner: tuple[int, int], count: int) -> list[Path]:
    """Return files of a patch, the original and `count` versions, named as HGGT's."""
    stem = f"{key}-{corner[0]}-{corner[1]}"
    names = [f"{number:02d}" for number in range(1, count + 1)]
    return [output / ORIGINAL / f"{stem}.png", *(output / name / f"{stem}_{name}.png" for name in names)]


def _read_mark(mark: Path, run_id: str) -> dict[tuple[int, int], PatchFigures] | None:
    """Return the patches of an image that this run has done already; None where it has not."""
    try:
        content = json.loads(mark.read_text(encoding="utf8"))
        if content["run"] != run_id:
            return None
        return {
            (row, column): PatchFigures(tuple(stds), tuple(laplacians), difference)
            for row, column, stds, laplacians, difference in content["patches"]
        }
    except (OSError, ValueError, KeyError, TypeError):  # not there, or damaged: the image is done anew
        return None


def write_selection(path: Path, results: Sequence[ImageResult], rule: PatchRule, count: int) -> int:
    """Write the figures of all patches as CSV, those that the enhancers changed most in mean level first.

    Return the number of patches kept by the rule; `count` is that of the enhanced versions.
    """
    names = [ORIGINAL, *(f"{number:02d}" for number in range(1, count + 1))]
    every = [(result.key, corner, one) for result in results for corner, one in result.patches.items()]
    every.sort(key=lambda entry: (-entry[2].difference, entry[0], entry[1]))
    columns = [f"{figure}_{name}" for figure in ("std", "laplacian") for name in names]
    rows = []
    for key, corner, one in every:
        figures = [f"{value:.4f}" for value in (*one.stds, *one.laplacians, one.difference)]
        rows.append([key, *corner, *figures, int(is_kept(one, rule))])
    write_rows(path, ["name", "row", "col", *columns, "max_mean_difference", "kept"], rows)
    return sum(is_kept(one, rule) for _, _, one in every)
