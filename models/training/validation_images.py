"""What headers of validation images tell before the first iteration: sizes that do not fit, or are too small."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from prismsr.metrics.catalog import find_metric
from prismsr.utils.errors import DataError, OptionError
from prismsr.utils.image_headers import read_header

MOST = 100
"""Images of a set whose headers are read."""
_SHOWN = 3

Size = tuple[int, int]
"""(height, width) in pixels."""


def check_validation_images(datasets: list[Any], scale: int, metrics: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Check the first images of validation sets by their headers, so that a run does not end at its first validation.

    Datasets have `opt`, and `keys` and `sources` as ours; others are passed over. `metrics` is the option file's
    val.metrics. Return a note for each metric that some images are too small for: it will be nan there.

    Raises:
        OptionError: GT is smaller than LQ times scale, or a file is no image.
    """
    notes, wrong = [], []
    for dataset in datasets:
        name, small = dataset.opt["name"], dict[str, list[str]]()
        try:
            for where, lq, gt in _sizes(dataset):
                size = (lq[0] * scale, lq[1] * scale)
                if gt is not None and (gt[0] < size[0] or gt[1] < size[1]):
                    wrong.append(f"{where}: GT is {_text(gt)}, smaller than LQ x {scale}, {_text(size)}")
                for metric, options in metrics.items():
                    if lack := describe_lack(size, options):
                        small.setdefault(metric, []).append(f"{where}: {lack}")
        except DataError as error:
            wrong.append(str(error))
        for metric, images in small.items():
            more = f" (and {len(images) - 1} more)" if len(images) > 1 else ""
            notes.append(f"val.metrics.{metric}: {name} has images that are too small for it, {images[0]}{more}")
    if wrong:
        more = f"\nand {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
        raise OptionError("datasets.val: images do not fit:\n" + "\n".join(wrong[:_SHOWN]) + more)
    return notes


def _sizes(dataset: Any) -> Iterator[tuple[str, Size, Size | None]]:
    """Yield place, LQ size and GT size of images; GT may lack, as in sets for no-reference metrics."""
    sources, keys = getattr(dataset, "sources", None), getattr(dataset, "keys", None)
    if not isinstance(sources, dict) or not isinstance(keys, list) or "lq" not in sources:
        return
    for key in keys[:MOST]:
        found = {name: _size(sources[name], key) for name in ("lq", "gt") if name in sources}
        yield sources["lq"].describe(key), found["lq"], found.get("gt")


def _size(source: Any, key: str) -> Size:
    path = getattr(source, "paths", {}).get(key)
    return read_header(path if isinstance(path, Path) else source.read(key), source.describe(key)).upright_size


def describe_lack(size: Size, options: Mapping[str, Any]) -> str:
    """Return what an image lacks for an entry of val.metrics, "" where it is large enough, or nobody knows."""
    kind = str(options.get("metric", "musiq") if options.get("type") == "calculate_nr_iqa" else options.get("type"))
    try:
        metric = find_metric(kind)
    except OptionError:  # of a registry that the catalogue does not know
        return ""
    return metric.describe_lack(size, int(options.get("crop_border") or 0))


def _text(size: Size) -> str:
    return f"{size[1]}x{size[0]}"
