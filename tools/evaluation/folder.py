"""Evaluate a folder of SR images by a protocol: match, check, score what is missing, and sum up."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from prismsr.metrics.fid import extract_features, frechet_distance
from prismsr.metrics.score_store import ScoreStore
from prismsr.tools.evaluation.columns import MetricSpec, Scorer, make_scorers
from prismsr.tools.evaluation.image_scores import ImageScores
from prismsr.tools.evaluation.matching import Item, MatchingError, match, read_sizes
from prismsr.tools.evaluation.protocols import CUSTOM, Protocol
from prismsr.tools.evaluation.summary import MetricSummary, Summary, average_groups, list_versions, write_results
from prismsr.tools.inference.plan import find_leftovers
from prismsr.utils.devices import find_device
from prismsr.utils.errors import OptionError, UserError
from prismsr.utils.folder_lock import folder_lock
from prismsr.utils.names import list_first
from prismsr.utils.processes import count_cores
from prismsr.utils.run_record import INFERRED

import numpy as np
import torch
from tqdm import tqdm

STORE = "made_scores.csv"


def evaluate_folder(
    sr: Path,
    gt: Path | None,
    protocol: Protocol | Sequence[MetricSpec],
    output: Path,
    workers: int | None = None,
    device: str | None = None,
    *,
    suffix: str | None = None,
    labels: Path | None = None,
    batch: int = 8,
    skip_missing: bool = False,
) -> Summary:
    """Evaluate SR images; writes `made_scores.csv`, `scores.csv` and `summary.json` to `output`.

    Names, sizes and weights are checked before anything is computed; scores are kept as they are made.

    Args:
        sr: folder of SR images.
        gt: folder of ground truths; None where no metric compares.
        protocol: what is computed, or metrics alone, for which images are paired by name.
        output: folder of the results.
        workers: processes for metrics without a network; None for the number of cores.
        device: torch device of the networks; "cuda" for all GPUs, several with commas between; None for what is there.
        suffix, labels: see `match`.
        batch: images of equal size that networks score at once.
        skip_missing: leave out metrics whose weights or packages are not there, and say so in the summary.

    Raises:
        OptionError: names or sizes do not fit, unknown metrics, wrong settings. UserError: metrics lack something.
        JobError: a process died. OSError: the output cannot be written.
    """
    plan = protocol if isinstance(protocol, Protocol) else Protocol(CUSTOM, "no paper's protocol", tuple(protocol))
    devices = resolve_devices(device)
    items = _match_images(plan, sr, gt, suffix, labels)
    known_sizes = read_sizes(items, plan.align)
    scorers, missing = make_scorers(plan.metrics, skip_missing)
    summary = Summary(str(sr), str(gt) if gt else None, plan.explain(), missing=missing, versions=list_versions())
    with folder_lock(output):
        scores = ImageScores(items, scorers, ScoreStore(output / STORE), plan.align)
        scores.make(known_sizes, workers or count_cores(), devices, batch)
        scores.drop_changed()
        _sum_up(summary, scores, scorers, devices)
        write_results(output, summary)
    return summary


def _require_gt(plan: Protocol, gt: Path | None) -> None:
    lacking = [spec.metric for spec in plan.metrics if spec.known.reference != "none"]
    if gt is None and lacking:
        others = [spec.metric for spec in plan.metrics if spec.metric not in lacking]
        rest = f", or only --metrics {' '.join(others)}" if others else ""
        raise OptionError(f"{', '.join(lacking)} compare with ground truths: give --gt{rest}")
    if plan.references != "single" and any(spec.known.reference == "set" for spec in plan.metrics):
        raise OptionError(
            f"fid compares two sets of images; with --references {plan.references} there is no second one"
        )


def _match_images(plan: Protocol, sr: Path, gt: Path | None, suffix: str | None, labels: Path | None) -> list[Item]:
    _require_gt(plan, gt)
    items = match(sr, gt, suffix=suffix, references=plan.references, several=plan.several, labels=labels)
    if old := find_leftovers(sr, [item.sr for item in items]):
        raise MatchingError(
            f"{len(old)} of {len(items)} images of {sr} are older than the settings that {INFERRED} there says they "
            f"were made with: {list_first([path.name for path in old])}. tools/infer.py is at work there or did not end"
            f": wait for it, or run its command again; remove {sr / INFERRED} if the images are right"
        )
    return items


def resolve_devices(device: str | None) -> list[str]:
    """Return torch devices: "cuda" is all GPUs, None these or the CPU; OptionError where there is no such device."""
    if device in (None, "cuda") and torch.cuda.is_available():
        return [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    names = (device or "cpu").split(",")
    for name in names:
        find_device(name)
    return names


def _sum_up(summary: Summary, scores: ImageScores, scorers: Sequence[Scorer], devices: Sequence[str]) -> None:
    """Fill in values, means and failures."""
    summary.failed = scores.failed
    for scorer in scorers:
        if scorer.spec.known.reference == "set":
            summary.metrics[scorer.column] = _measure_sets(summary, scores, scorer, devices[0])
            continue
        values = {name: float(np.mean(each)) for name, each in scores.collect(scorer).items()}
        summary.values[scorer.column] = values
        mean, std = average_groups(values, scores.items)
        where = "cpu" if scorer.network is None else ", ".join(devices)
        summary.metrics[scorer.column] = _summarise(scorer, mean, std, len(values), len(scores.items), where)


def _measure_sets(summary: Summary, scores: ImageScores, scorer: Scorer, device: str) -> MetricSummary:
    count = len(scores.items)
    try:
        value: float | None = _compute_fid(scores.items, scorer, scores.store, device)
    except (ValueError, UserError) as error:
        value, count = None, 0
        summary.failed.setdefault(scorer.column, []).append(f"{scorer.column}: {error}")
    return _summarise(scorer, value, None, count, len(scores.items), device)


def _compute_fid(items: Sequence[Item], scorer: Scorer, store: ScoreStore, device: str) -> float:
    sides = [[item.sr for item in items], sorted({path for item in items for path in item.references})]
    key = ("", "", hash_file_states(sides), scorer.key)
    if (known := store.read().get(key)) is not None:
        return known
    assert scorer.network is not None
    network, features = scorer.network.to(device), []
    mode, patches = scorer.settings["mode"], scorer.settings["patches"]
    with tqdm(total=sum(map(len, sides)), desc="FID", unit="image") as bar:
        for files in sides:
            features.append(extract_features(files, network, device, mode, patches, tick=bar.update))
    if hash_file_states(sides) != key[2]:
        raise ValueError("files changed while it was computed; run it again")
    value = frechet_distance(*features)
    store.append([(key, value)])
    return value


def hash_file_states(sides: Sequence[Sequence[Path]]) -> str:
    """Return SHA-256 over names, sizes and times of change of two sets of files; OSError where a file is not there."""
    digest = hashlib.sha256()
    for files in sides:
        for path in files:
            status = path.stat()
            digest.update(f"{path.name}\0{status.st_size}\0{status.st_mtime_ns}\0".encode("utf8", "surrogateescape"))
        digest.update(b"\1")
    return digest.hexdigest()


def _summarise(
    scorer: Scorer, mean: float | None, std: float | None, count: int, expected: int, device: str
) -> MetricSummary:
    return MetricSummary(
        mean, std, count, expected, scorer.better, scorer.version, scorer.weights, device, scorer.spec.describe()
    )
