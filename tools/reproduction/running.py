"""The jobs of tools/reproduce.py: how far each is, and running those that can be run."""

import csv
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from prismsr.data.test_sets.sets import count_images
from prismsr.metrics.correlation import CorrelationError
from prismsr.tools.evaluation.folder import evaluate_folder
from prismsr.tools.evaluation.results import markdown
from prismsr.tools.evaluation.summary import Summary
from prismsr.tools.inference.folder import Generator, infer_folder, load_generator
from prismsr.tools.iqa import opinions_command, people_command
from prismsr.tools.reproduction.kept_results import (
    IMAGES,
    How,
    Result,
    column_key,
    image_settings,
    older_results,
    quality_settings,
    read_record,
    result_folder,
    write_record,
)
from prismsr.tools.reproduction.needs import Lack, Needs, needs_of
from prismsr.tools.reproduction.tables import Job
from prismsr.utils.errors import JobError, OptionError, UserError

OPINION_COLUMNS = {"PLCC": "plcc_cubic", "SRCC": "srcc", "KRCC": "krcc"}
"""Columns of evaluate_iqa.py's table; the paper does not say which PLCC it prints, and prints no signs."""
FAILURES = (UserError, OptionError, JobError, CorrelationError, OSError, RuntimeError, ValueError)
"""What ends a job and lets the others go on; RuntimeError is torch's, such as no memory."""


@dataclass(frozen=True)
class Setup:
    """What all jobs share.

    Attributes:
        root: the repository's folder.
        results: folder of the kept results.
        device: auto, cpu, cuda, cuda:1 ...
        workers: processes for metrics without a network; None for the number of cores.
        how: settings of inference.
        checkpoints: files by method, in place of the experiments' own.
    """

    root: Path
    results: Path
    device: str = "auto"
    workers: int | None = None
    how: How = field(default_factory=How)
    checkpoints: Mapping[str, Path] = field(default_factory=dict)


@dataclass
class Found:
    """How far a job is.

    Attributes:
        job, needs: the job, and what it needs.
        folder: of its results; None where something that they depend on is missing.
        settings: what the folder's results are made from.
        keys: what each column would be made with today.
        kept: figures that are up to date.
        stale: whether there are older results only.
        errors: messages of this run, by column; "" for the whole job.
    """

    job: Job
    needs: Needs
    folder: Path | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    kept: dict[str, Result] = field(default_factory=dict)
    stale: bool = False
    errors: dict[str, str] = field(default_factory=dict)

    @property
    def todo(self) -> list[str]:
        """Columns that can be made and are not there."""
        return [column for column in self.keys if column not in self.kept and column not in self.needs.metrics]


def examine(job: Job, setup: Setup) -> Found:
    """Look what a job needs and which of its figures are kept; nothing is computed but hashes."""
    try:
        needs = needs_of(job, setup.root, setup.checkpoints)
        found = Found(job, needs)
        if not needs.lacks:
            _look_at_results(found, setup)
    except UserError as error:  # an option file that is wrong
        return Found(job, Needs(lacks=[Lack("option file", str(error))]))
    return found


def _look_at_results(found: Found, setup: Setup) -> None:
    job, needs = found.job, found.needs
    if needs.protocol is not None:
        found.settings = image_settings(job, needs, setup.how)
        specs = {spec.column: spec for spec in needs.protocol.metrics}
        found.keys = {name: column_key(specs[name], needs, setup.root) for name in job.columns if name in specs}
    else:
        found.settings = quality_settings(job, setup.root)
        found.keys = dict.fromkeys(job.columns, job.use.group)
    found.folder = result_folder(setup.results, job, needs, found.settings)
    record = read_record(found.folder)
    stored = {name: record.get(_stored_name(job, name)) for name in found.keys}
    found.kept = {name: one for name, one in stored.items() if one is not None and one.key == found.keys[name]}
    found.stale = not found.kept and (bool(record) or older_results(found.folder))


def _stored_name(job: Job, column: str) -> str:
    """Name of a column in the record; the groups of one quality set share it."""
    return column if job.use.protocol is not None or job.use.group == "all" else f"{job.use.group}: {column}"


class Runner:
    """Runs jobs one by one; the generator of the last one is kept for the next."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self._loaded: tuple[tuple[Path | None, ...], Generator] | None = None

    def run(self, found: Found) -> None:
        """Make the columns that can be made, keep them, and note what went wrong."""
        if found.needs.lacks or not found.todo or found.folder is None:
            return
        job = found.job
        print(f"{job.table}: {job.method} on {job.dataset}", file=sys.stderr)
        try:
            if found.needs.protocol is not None:
                self._make_images(found)
                columns = self._evaluate(found)
            else:
                columns = (_people if job.use.pairs else _opinion)(found, self.setup)
            kept = {**read_record(found.folder), **{_stored_name(job, name): one for name, one in columns.items()}}
            write_record(found.folder, found.settings, kept)
            found.kept |= columns
            found.stale = False
        except FAILURES as error:
            found.errors[""] = str(error) or type(error).__name__

    def _make_images(self, found: Found) -> None:
        assert found.folder is not None
        assert found.needs.lq is not None
        folder = found.folder / IMAGES
        if read_record(found.folder) and count_images(folder) == count_images(found.needs.lq):
            return  # only written when the images are complete, and nothing that they depend on has changed
        how = self.setup.how
        report = infer_folder(
            self._generator(found.needs), [found.needs.lq], folder, tile=how.tile, overlap=how.overlap, ext="png"
        )
        if report.failed:
            raise JobError(f"{len(report.failed)} images have no result, first: {report.failed[0]}")

    def _generator(self, needs: Needs) -> Generator:
        key = (needs.options, needs.checkpoint)
        assert needs.options is not None
        if self._loaded is None or self._loaded[0] != key:
            self._loaded = None  # frees the last one first
            setup, how = self.setup, self.setup.how
            made = load_generator(
                needs.options, needs.checkpoint, device=setup.device, precision=how.precision, root=setup.root
            )
            self._loaded = (key, made)
        return self._loaded[1]

    def _evaluate(self, found: Found) -> dict[str, Result]:
        plan, needs = found.needs.protocol, found.needs
        assert plan is not None
        assert found.folder is not None
        able = tuple(spec for spec in plan.metrics if spec.column not in needs.metrics)
        device = None if self.setup.device == "auto" else self.setup.device
        summary = evaluate_folder(
            found.folder / IMAGES, needs.gt, replace(plan, metrics=able), found.folder, self.setup.workers, device,
            skip_missing=True,
        )  # fmt: skip
        print(markdown(summary), file=sys.stderr)
        return _complete(found, summary)


def _complete(found: Found, summary: Summary) -> dict[str, Result]:
    """The columns that are over all images; the others are noted as errors."""
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


def _opinion(found: Found, setup: Setup) -> dict[str, Result]:
    """Correlations of a quality metric with opinion scores, by tools/evaluate_iqa.py."""
    job, use, row = found.job, found.job.use, found.job.row
    assert found.folder is not None
    options = [f"{key}={_absolute(value, setup.root)}" for key, value in row.metric_options.items()]
    line = [row.metric, "--set", use.reader, "--root", setup.root / str(use.root), "--name", "scores"]
    line += ["-o", found.folder, "--device", _quality_device(setup)]
    line += ["--labels", setup.root / use.labels] if use.labels else []
    line += ["--workers", str(setup.workers)] if setup.workers else []
    line += ["--metric-options", *options] if options else []
    with redirect_stdout(sys.stderr):
        opinions_command.run(_parsed(opinions_command.add_arguments, line))
    with (found.folder / "scores_correlations.csv").open(encoding="utf8", newline="") as file:
        groups = {cells["group"]: cells for cells in csv.DictReader(file)}
    cells = groups.get(use.group)
    if cells is None:
        raise JobError(f"{use.root} has no group {use.group!r}; it has {', '.join(groups)}")
    return {
        column: Result(found.keys[column], abs(float(cells[name])), int(cells["images"]), name)
        for column, name in OPINION_COLUMNS.items()
        if column in job.columns and cells[name]
    }


def _people(found: Found, setup: Setup) -> dict[str, Result]:
    """Agreement of a quality metric with people's choices in percent, by tools/analyse_iqa.py."""
    use, row = found.job.use, found.job.row
    assert found.folder is not None
    line = ["pairs", "--pairs", setup.root / str(use.pairs), "--root", setup.root / str(use.root), "-o", found.folder]
    line += ["--metric", row.metric, "--name", "pairs", "--device", _quality_device(setup)]
    with redirect_stdout(sys.stderr):
        people_command.run(_parsed(people_command.add_arguments, line))
    with (found.folder / "pairs" / "accuracy.csv").open(encoding="utf8", newline="") as file:
        cells = next(csv.DictReader(file))
    return {"Accuracy": Result(found.keys["Accuracy"], float(cells["accuracy"]), int(cells["compared"]), "pairs")}


def _parsed(add_arguments: Callable[[ArgumentParser], None], line: Sequence[Any]) -> Namespace:
    parser = ArgumentParser()
    add_arguments(parser)
    return parser.parse_args([str(part) for part in line])


def _absolute(value: Any, root: Path) -> Any:
    return root / value if isinstance(value, str) and (root / value).is_file() else value


def _quality_device(setup: Setup) -> str:
    import torch

    return ("cuda" if torch.cuda.is_available() else "cpu") if setup.device == "auto" else setup.device


def run_all(found: Sequence[Found], setup: Setup) -> None:
    """Run all jobs, those of one network after one another."""
    runner = Runner(setup)
    for one in sorted(found, key=lambda each: str(each.needs.options)):
        runner.run(one)


def provenance(found: Found) -> dict[str, Any]:
    """What the figures of a job are made from, for the JSON report."""
    return {
        "table": found.job.table,
        "method": found.job.method,
        "dataset": found.job.dataset,
        "folder": None if found.folder is None else str(found.folder),
        "made_from": found.settings,
        "columns": {name: asdict(one) for name, one in found.kept.items()},
    }
