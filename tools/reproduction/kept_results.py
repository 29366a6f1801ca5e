"""Kept results of tools/reproduce.py: where they are, what they were made from, and whether that is still so.

A folder holds the images of one checkpoint with one set of settings and inputs; its name is a hash of these, so that
results of different checkpoints never meet. Each column of its result.json says what it was made with.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from prismsr.tools.evaluation.columns import MetricSpec
from prismsr.tools.evaluation.summary import list_versions
from prismsr.tools.reproduction.needs import Needs, list_metric_weights
from prismsr.tools.reproduction.tables import Job, is_file
from prismsr.utils.files import atomic_write, hash_file, list_visible_files
from prismsr.utils.options.files import load_options
from prismsr.utils.tiling import VERSION
from prismsr.utils.weights.published import place

RECORD = "result.json"
IMAGES = "images"
_DIGITS = 12
_NOT_FOR_IMAGES = {
    *("name", "num_gpu", "path", "train", "datasets", "logger", "degradation", "scoring", "clip", "lora", "model_type"),
    *("dist_params", "network_d", "network_d_feat", "network_d_tg"),
}
"""Sections of an option file that making images does not look at; images are made from all others."""
_NOT_FOR_IMAGES_IN_VAL = {"val_freq", "save_img", "pbar", "metrics", "suffix"}


@dataclass(frozen=True)
class Result:
    """A figure that was made here, over `count` images and in the metric's own unit, with how the metric was made.

    `key` is a hash of what it was made with besides the images.
    """

    key: str
    value: float
    count: int
    settings: str = ""
    version: str = ""
    weights: str = ""
    device: str = ""


@dataclass(frozen=True)
class How:
    """Settings of the run that images depend on."""

    precision: str = "fp32"
    tile: int = 0
    overlap: int = 32


def list_image_settings(job: Job, needs: Needs, how: How) -> dict[str, Any]:
    """Return what the images of a job, whose needs are there, depend on."""
    if job.row.ground_truths:
        assert needs.gt is not None
        return {"experiment": needs.experiment, "gt": hash_folder(needs.gt)}
    assert needs.options and needs.checkpoint and needs.lq
    options = {key: value for key, value in load_options(needs.options).items() if key not in _NOT_FOR_IMAGES}
    if isinstance(options.get("val"), Mapping):
        options["val"] = {key: value for key, value in options["val"].items() if key not in _NOT_FOR_IMAGES_IN_VAL}
    checkpoint = _hash_once(needs.checkpoint, *_read_state(needs.checkpoint))
    made_from = {"checkpoint": checkpoint, "options": options, "lq": hash_folder(needs.lq), **asdict(how)}
    tiling = {"tiling": VERSION} if how.tile or "sampling" in (options.get("val") or {}) else {}
    return {"experiment": needs.experiment, **made_from, **tiling}


def list_quality_settings(job: Job, root: Path) -> dict[str, Any]:
    """Return what the scores of a quality metric depend on, with the files that its options name."""
    options = {
        key: [value, hash_file(root / value)] if is_file(value, root) else value
        for key, value in job.row.metric_options.items()
    }
    lists = [hash_file(root / file) for file in (job.use.pairs, job.use.labels) if file and (root / file).is_file()]
    images = hash_folder(root / str(job.use.root))
    metric = {"metric": job.row.metric, "options": options}
    return {**metric, "images": images, "lists": lists, "versions": _list_versions()}


def find_result_folder(results: Path, job: Job, needs: Needs, settings: Mapping[str, Any]) -> Path:
    """Return where the results of these settings are kept."""
    if job.use.protocol is not None:
        parts = [needs.experiment, job.use.set or job.dataset]
    else:
        parts = [str(job.row.metric), job.use.reader or job.dataset]
    return results.joinpath(*map(make_folder_name, parts), hash_values(settings))


def hash_column(spec: MetricSpec, needs: Needs, root: Path) -> str:
    """Hash of what a figure depends on besides the images."""
    plan = needs.protocol
    assert plan is not None
    places = [place(entry, root) for entry in list_metric_weights(spec.metric)]
    weights = [[path.name, *_read_state(path)] for path in places if path is not None and path.is_file()]
    about = [spec.metric, spec.fill_settings(), plan.references, plan.several, plan.align, weights, _list_versions()]
    gt = None if needs.gt is None else hash_folder(needs.gt)
    labels = [] if needs.gt is None else hash_folder(needs.gt.parent / "labels")
    return hash_values([about, gt, labels if plan.references == "positives" else None])


def read_record(folder: Path) -> dict[str, Result]:
    """Return kept figures by column; none where there is no record or it is damaged."""
    try:
        content = json.loads((folder / RECORD).read_text(encoding="utf8"))
        return {column: Result(**one) for column, one in content["columns"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def write_record(folder: Path, settings: Mapping[str, Any], columns: Mapping[str, Result]) -> None:
    """Keep figures; OSError where they cannot be written."""
    content = {"made_from": settings, "columns": {name: asdict(one) for name, one in columns.items()}}
    atomic_write(folder / RECORD, (json.dumps(content, indent=1, default=str) + "\n").encode())


def has_older_results(folder: Path) -> bool:
    """Return whether results of other checkpoints, settings or inputs are beside a folder."""
    return any(path.parent != folder for path in folder.parent.glob(f"*/{RECORD}"))


# ----------------------------------------------------------------------------------------------------------- hashes


def hash_values(value: Any) -> str:
    """Return short SHA-256 of plain values."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:_DIGITS]


def make_folder_name(name: str) -> str:
    """Return a name for a folder; names that differ in other characters only get different ones."""
    plain = re.sub(r"[^A-Za-z0-9._+-]+", "_", name).strip("._")
    return plain if plain == name else f"{plain}_{hash_values(name)[:4]}"


@lru_cache(maxsize=256)
def hash_folder(folder: Path) -> str:
    """Hash of names, sizes and times of change of the visible files below a folder; "" where there is none.

    Many rows ask for the same folder: what was found is kept until `hash_folder.cache_clear()`.
    """
    if not folder.is_dir():
        return ""
    files = list_visible_files(folder)
    return hash_values([[path.relative_to(folder).as_posix(), *_read_state(path)] for path in files])


def _read_state(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]


@lru_cache(maxsize=64)
def _hash_once(path: Path, size: int, changed: int) -> str:
    """Return SHA-256, read again only when the file changes."""
    return hash_file(path)


@lru_cache(maxsize=1)
def _list_versions() -> dict[str, str]:
    found = list_versions()
    return {name: found[name] for name in ("prismsr", "pyiqa", "basicsr", "stlpips_pytorch") if name in found}
