"""The jobs of tools/reproduce.py: how far each is, and running those that can be run."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from prismsr.data.images.source import FolderSource
from prismsr.data.multi_gt.groups import group_keys
from prismsr.data.test_sets.sets import count_images
from prismsr.metrics.correlation import CorrelationError
from prismsr.tools.evaluation.columns import MetricSpec, Scorer, make_scorer
from prismsr.tools.evaluation.folder import evaluate_folder
from prismsr.tools.evaluation.summary import Summary, average_best, format_markdown
from prismsr.tools.inference.folder import Generator, infer_folder, load_generator
from prismsr.tools.iqa.opinions import correlate_set, write_opinions
from prismsr.tools.iqa.people import compare_choices
from prismsr.tools.iqa.people_report import report_pairs
from prismsr.tools.iqa.preference_pairs import read_pairs
from prismsr.tools.iqa.sets import load_iqa_set
from prismsr.tools.reproduction import kept_results
from prismsr.tools.reproduction.kept_results import How, Result, read_record
from prismsr.tools.reproduction.needs import Lack, Needs, find_needs
from prismsr.tools.reproduction.tables import Job, Row, is_file
from prismsr.utils.devices import find_device
from prismsr.utils.errors import JobError, OptionError, UserError
from prismsr.utils.folder_lock import folder_lock
from prismsr.utils.images import IMAGE_SUFFIXES
from prismsr.utils.processes import count_cores

OPINION_COLUMNS = {"PLCC": "plcc_cubic", "SRCC": "srcc", "KRCC": "krcc"}
"""Correlations of the paper's columns; the paper does not say which PLCC it prints, and prints no signs."""
FAILURES = (UserError, OptionError, JobError, CorrelationError, OSError, RuntimeError, ValueError)
"""What ends a job and lets the others go on; RuntimeError is torch's, such as no memory."""
Loaded = dict[tuple[Path, Path | None], Generator]
"""The last generator, by its option file and checkpoint."""


@dataclass(frozen=True)
class Setup:
    """What all jobs share: the repository `root`, the folder of kept `results`, and settings of inference (`how`).

    `device` is auto, cpu, cuda, cuda:1 ...; `workers` are processes for metrics without a network, None for the number
    of cores. `checkpoints` are files by method, in place of the experiments' own.
    """

    root: Path
    results: Path
    device: str = "auto"
    workers: int | None = None
    how: How = field(default_factory=How)
    checkpoints: Mapping[str, Path] = field(default_factory=dict)


@dataclass
class Found:
    """How far a job is: what it needs, and the `folder` of its results, unless something that they depend on is
    missing.

    `settings` are what the folder's results are made from, `keys` what each column would be made with today. `kept` are
    figures that are up to date; `stale` says that there are older results only. `errors` are messages of this run, by
    column; "" for the whole job.
    """

    job: Job
    needs: Needs
    folder: Path = Path()
    settings: dict[str, Any] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    kept: dict[str, Result] = field(default_factory=dict)
    stale: bool = False
    errors: dict[str, str] = field(default_factory=dict)

    @property
    def todo(self) -> list[str]:
        """Return columns that can be made and are not there."""
        return [column for column in self.keys if column not in self.kept and column not in self.needs.metrics]


def examine(job: Job, setup: Setup) -> Found:
    """Look what a job needs and which of its figures are kept; nothing is computed but hashes."""
    try:
        needs = find_needs(job, setup.root, setup.checkpoints)
        found = Found(job, needs)
        if not needs.lacks:
            _look_at_results(found, setup)
    except UserError as error:  # an option file that is wrong
        return Found(job, Needs(lacks=[Lack("option file", str(error))]))
    return found


def _look_at_results(found: Found, setup: Setup) -> None:
    job, needs = found.job, found.needs
    if needs.protocol is not None:
        found.settings = kept_results.list_image_settings(job, needs, setup.how)
        specs = {spec.column: spec for spec in needs.protocol.metrics}
        found.keys = {
            name: kept_results.hash_column(specs[name], needs, setup.root) for name in job.columns if name in specs
        }
    else:
        found.settings = kept_results.list_quality_settings(job, setup.root)
        found.keys = dict.fromkeys(job.columns, job.use.group)
    found.folder = kept_results.find_result_folder(setup.results, job, needs, found.settings)
    record = read_record(found.folder)
    stored = {name: record.get(_name_column(job, name)) for name in found.keys}
    found.kept = {name: one for name, one in stored.items() if one is not None and one.key == found.keys[name]}
    found.stale = not found.kept and (bool(record) or kept_results.has_older_results(found.folder))


def _name_column(job: Job, column: str) -> str:
    """Return the name of a column in the record; the groups of one quality set share it."""
    return column if job.use.protocol is not None or job.use.group == "all" else f"{job.use.group}: {column}"


def run_all(found: Sequence[Found], setup: Setup) -> None:
    """Run all jobs one by one, those of one network after one another; its generator is kept for the next."""
    loaded: Loaded = {}
    for one in sorted(found, key=lambda each: str(each.needs.options)):
        if one.todo and not one.needs.lacks:
            _run(one, setup, loaded)


def _run(found: Found, setup: Setup, loaded: Loaded) -> None:
    """Make the columns that can be made, keep them, and note what went wrong."""
    job = found.job
    print(f"{job.table}: {job.method} on {job.dataset}", file=sys.stderr)
    try:
        with folder_lock(found.folder):
            columns = _make_columns(found, setup, loaded)
            kept = {**read_record(found.folder), **{_name_column(job, name): one for name, one in columns.items()}}
            kept_results.write_record(found.folder, found.settings, kept)
        found.kept |= columns
        found.stale = False
    except FAILURES as error:
        found.errors[""] = str(error) or type(error).__name__


def _make_columns(found: Found, setup: Setup, loaded: Loaded) -> dict[str, Result]:
    if found.needs.protocol is None:
        return (_compare_with_people if found.job.use.pairs else _correlate_with_opinions)(found, setup)
    if found.job.row.ground_truths:
        return _score_ground_truths(found, setup)
    images = found.folder / kept_results.IMAGES
    _make_images(found, setup, loaded, images)
    return _complete(found, _evaluate(found, setup, images, found.needs.gt))


def _make_images(found: Found, setup: Setup, loaded: Loaded, folder: Path) -> None:
    needs, how = found.needs, setup.how
    assert needs.lq and needs.options
    if read_record(found.folder) and count_images(folder) == count_images(needs.lq):
        return  # only written when the images are complete, and nothing that they depend on has changed
    key = (needs.options, needs.checkpoint)
    if key not in loaded:
        loaded.clear()  # frees the last one first
        loaded[key] = load_generator(*key, device=setup.device, precision=how.precision, root=setup.root)
    report = infer_folder(loaded[key], [needs.lq], folder, tile=how.tile, ext="png")
    if report.failed:
        raise JobError(f"{len(report.failed)} images have no result, first: {report.failed[0]}")


def _evaluate(found: Found, setup: Setup, images: Path, gt: Path | None, **changes: Any) -> Summary:
    """Evaluate images by the table's protocol with these changes, without the columns that lack something."""
    plan = found.needs.protocol
    assert plan is not None
    able = tuple(spec for spec in plan.metrics if spec.column not in found.needs.metrics)
    device = None if setup.device == "auto" else setup.device
    summary = evaluate_folder(
        images, gt, replace(plan, metrics=able, **changes), found.folder, setup.workers, device, skip_missing=True
    )
    print(format_markdown(summary), file=sys.stderr)
    return summary


def _score_ground_truths(found: Found, setup: Setup) -> dict[str, Result]:
    """Return, metric by metric, the mean over the groups of the best score of a group's versions."""
    gt = found.needs.gt
    assert gt is not None
    summary = _evaluate(found, setup, gt, None, references="single")
    groups = group_keys(FolderSource(gt, IMAGE_SUFFIXES).keys(), str(gt)).keys
    return {
        name: replace(one, value=average_best(summary.values[name], groups, found.job.columns[name]), count=len(groups))
        for name, one in _complete(found, summary).items()
    }


def _complete(found: Found, summary: Summary) -> dict[str, Result]:
    """Return the columns that are over all images; the others are noted as errors."""
    columns = {}
    for name, one in summary.metrics.items():
        if one.mean is None or one.count < one.expected:
            first = next((text for texts in summary.failed.values() for text in texts), "no reason was given")
            found.errors[name] = f"{one.count} of {one.expected} images have a value; first failure: {first}"
            continue
        columns[name] = Result(
            found.keys[name], one.mean, one.count, one.settings, one.version, one.weights, one.device
        )
    found.needs.metrics |= {name: Lack("metric weights", text) for name, text in summary.missing.items()}
    return columns


# --------------------------------------------------------------------------------------------------- quality metrics


def _correlate_with_opinions(found: Found, setup: Setup) -> dict[str, Result]:
    """Return the correlations of a quality metric with opinion scores; the reports stay in the folder."""
    job, use, row = found.job, found.job.use, found.job.row
    scorer = _make_scorer(row, setup.root)
    iqa_set = load_iqa_set(str(use.reader), setup.root / str(use.root), setup.root / use.labels if use.labels else None)
    workers, device = setup.workers or count_cores(), str(find_device(setup.device))
    opinions = correlate_set(iqa_set, scorer, found.folder / "scores.csv", workers=workers, device=device)
    print(write_opinions(found.folder, "scores", opinions), file=sys.stderr)
    group = opinions.groups.get(use.group)
    if group is None:
        raise JobError(f"{use.root} has no group {use.group!r}; it has {', '.join(opinions.groups)}")
    figures = {column: getattr(group.found, name) for column, name in OPINION_COLUMNS.items() if group.found}
    made_with = (scorer.version, scorer.weights, device)
    return {
        column: Result(found.keys[column], abs(value), group.count, OPINION_COLUMNS[column], *made_with)
        for column, value in figures.items()
        if column in job.columns and value is not None
    }


def _compare_with_people(found: Found, setup: Setup) -> dict[str, Result]:
    """Return the agreement of a quality metric with people's choices in percent; the reports stay in the folder."""
    use, row = found.job.use, found.job.row
    root, folder, device = setup.root / str(use.root), found.folder / "pairs", str(find_device(setup.device))
    pairs = read_pairs(setup.root / str(use.pairs), root)
    scorer = _make_scorer(row, setup.root)
    choices = compare_choices(pairs, root, [scorer], folder / "scores", device)
    print(report_pairs(folder, pairs, choices), file=sys.stderr)
    (one,) = choices.agreements.values()
    made_with = (scorer.version, scorer.weights, device)
    return {"Accuracy": Result(found.keys["Accuracy"], 100 * one.accuracy, one.compared, "pairs", *made_with)}


def _make_scorer(row: Row, root: Path) -> Scorer:
    files = {key: str(root / value) for key, value in row.metric_options.items() if is_file(value, root)}
    return make_scorer(MetricSpec(str(row.metric), {**row.metric_options, **files}), "none")


def describe_origin(found: Found) -> dict[str, Any]:
    """Return what the figures of a job are made from, for the JSON report."""
    return {
        "table": found.job.table,
        "method": found.job.method,
        "dataset": found.job.dataset,
        "folder": str(found.folder),
        "made_from": found.settings,
        "columns": {name: asdict(one) for name, one in found.kept.items()},
    }
