"""What a row of a paper's table needs on a data set, whether it is there, and what to do where it is not."""

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from prismsr.data.test_sets.sets import TestSet, count_images, find_test_set, list_missing
from prismsr.metrics.catalog import find_metric
from prismsr.tools.evaluation.protocols import Protocol, find_protocol
from prismsr.tools.iqa.sets import SOURCES
from prismsr.tools.reproduction.tables import Job
from prismsr.utils.errors import OptionError
from prismsr.utils.options.files import load_options
from prismsr.utils.places import find_option_file
from prismsr.utils.run_record import PREPARED, read_record
from prismsr.utils.weights import needs as weight_needs
from prismsr.utils.weights.published import Weights, is_there, read_list

Kind = Literal["option file", "checkpoint", "network weights", "test set", "metric weights"]
_TRAINING = ("train", "degradation", "scoring", "lora", "network_g", "network_d", "network_d_feat", "network_d_tg")
"""Sections that say what is trained, apart from the data and how many at once."""


@dataclass(frozen=True)
class Lack:
    """Something that is missing: what, and what to do."""

    kind: Kind
    text: str

    def __str__(self) -> str:
        return f"missing {self.kind}: {self.text}"


@dataclass
class Needs:
    """What was found for a job: what the whole row lacks on this data set (`lacks`), and single columns (`metrics`).

    `options` is the option file whose network makes the images, `experiment` its name, `checkpoint` the generator's
    weights. `lq` and `gt` are folders of the test set. The `protocol` has the columns of the table alone.
    """

    lacks: list[Lack] = field(default_factory=list)
    metrics: dict[str, Lack] = field(default_factory=dict)
    options: Path | None = None
    experiment: str = ""
    checkpoint: Path | None = None
    lq: Path | None = None
    gt: Path | None = None
    protocol: Protocol | None = None


def find_needs(job: Job, root: Path, checkpoints: Mapping[str, Path]) -> Needs:
    """Look for all that a job needs; `checkpoints` are files by method, in place of those of the experiments.

    An option file that is there and wrong is an OptionError.
    """
    needs = Needs()
    if job.use.protocol is None:
        _look_for_quality_metric(needs, job, root)
        return needs
    if job.row.ground_truths:
        needs.experiment = "ground_truths"
    else:
        _look_for_network(needs, job, root, checkpoints)
    _look_for_test_set(needs, job, root)
    whole = find_protocol(job.use.protocol)
    needs.protocol = replace(whole, metrics=tuple(spec for spec in whole.metrics if spec.column in job.columns))
    found = {spec.column: find_metric_lack(spec.metric, root) for spec in needs.protocol.metrics}
    needs.metrics = {column: lack for column, lack in found.items() if lack is not None}
    return needs


# ------------------------------------------------------------------------------------------------ images to be made


def _look_for_network(needs: Needs, job: Job, root: Path, checkpoints: Mapping[str, Path]) -> None:
    file = job.row.find_options(job.dataset)
    maker = job.row.checkpoint_of or file
    assert file and maker
    places = {name: find_option_file(name, root) for name in (file, maker)}
    absent = [name for name, path in places.items() if not path.is_file()]
    if absent:
        needs.lacks.append(Lack("option file", f"{absent[0]} is not there"))
        return
    needs.options = places[file]
    options = load_options(needs.options)
    needs.experiment = str(options.get("name") or needs.options.stem)
    needs.lacks += _find_network_lacks(options, file, root)
    experiment = root / "experiments" / str(load_options(places[maker]).get("name"))
    own = [experiment / "models" / f"net_g_latest{suffix}" for suffix in (".pth", ".safetensors")]
    candidates = [checkpoints[job.method]] if job.method in checkpoints else own
    needs.checkpoint = next((path for path in candidates if path.is_file()), None)
    training = _explain_training(candidates[0], root, maker)
    if needs.checkpoint is None:
        needs.lacks.append(Lack("checkpoint", f"{_shorten_path(candidates[0], root)}; {training}"))
    elif job.method not in checkpoints and (otherwise := _find_difference(experiment, places[maker])):
        told = f"{_shorten_path(needs.checkpoint, root)} was trained with other options: {otherwise}"
        take = f'--checkpoint "{job.method}=FILE" takes it as it is'
        needs.lacks.append(Lack("checkpoint", f"{told}; {training}; or {take}"))


def _find_network_lacks(options: Mapping[str, Any], file: str, root: Path) -> list[Lack]:
    """Return what a network loads besides its checkpoint (LGCAA: Stable Diffusion 2, DINO) and is not there."""
    wanted = weight_needs.needs_of({"network_g": options.get("network_g")})
    entries = [entry for need in wanted for entry in read_list() if entry.serves(need.what)]
    absent = ", ".join(entry.name for entry in entries if not is_there(entry, root))
    fetch = f"python tools/weights.py fetch --options {file}"
    return [Lack("network weights", f"{absent}; {fetch}")] if absent else []


def _find_difference(experiment: Path, maker: Path) -> str:
    """Return in which option a training differs from its option file, by the copy kept with the experiment; "" for
    none.

    Only what a training computes with is compared; without a copy nothing is known.
    """
    copy = experiment / maker.name
    if not copy.is_file():
        return ""
    then, now = _list_training_options(copy), _list_training_options(maker)
    for key in {**now, **then}:
        if then.get(key) != now.get(key):
            return f"{key} was {then.get(key)}, and {maker.name} says {now.get(key)}"
    return ""


def _list_training_options(file: Path) -> dict[str, Any]:
    """Return the sections of an option file that say what is trained, flat, by dotted key."""
    options = load_options(file)
    found: dict[str, Any] = {}
    waiting = [(key, options[key]) for key in _TRAINING if key in options]
    for key, value in waiting:
        if isinstance(value, Mapping):
            waiting += [(f"{key}.{name}", inner) for name, inner in value.items()]
        else:
            found[key] = value
    return found


def _explain_training(path: Path, root: Path, maker: str) -> str:
    listed = next((entry for entry in read_list() if entry.serves(f"file:{_shorten_path(path, root)}")), None)
    published = f"; or published at {listed.source} (tools/weights.py)" if listed else ""
    return f"train it: python basicsr/train.py -opt {maker}{published}"


def _look_for_test_set(needs: Needs, job: Job, root: Path) -> None:
    use = job.use
    if use.set is not None:
        test_set = find_test_set(use.set)
        needs.lq, needs.gt = root / test_set.lq, None if test_set.gt is None else root / test_set.gt
        lack = list_missing(test_set, root) or _find_problem(test_set.name, needs)
        if use.degraded and lack is None:
            needs.lq, lack = _look_for_degraded(test_set, use.degraded, root)
        needs.lacks += [Lack("test set", lack)] if lack else []
        return
    assert use.lq is not None
    needs.lq, needs.gt = root / use.lq, None if use.gt is None else root / use.gt
    for folder in filter(None, (use.gt, use.lq)):
        held = count_images(root / folder)
        if held != use.count:
            state = f"holds {held} of {use.count} images" if held else "is not there"
            needs.lacks.append(Lack("test set", f"{job.dataset}: {folder} {state}; {use.source} says how to get it"))
            return


def _look_for_degraded(test_set: TestSet, number: int, root: Path) -> tuple[Path, str | None]:
    """Return the folder of the degraded LR images, so many of each GT image, and what is wrong with it."""
    assert test_set.gt is not None
    folder = (root / test_set.gt).parent / f"LRx{test_set.scale}_ssl_{number}"
    held, wanted = count_images(folder), number * test_set.count
    if held == wanted:
        return folder, None
    state = f"holds {held} of {wanted} images" if held else "is not there"
    command = f"python tools/prepare.py testset {test_set.name} --degraded {number}"
    return folder, f"{test_set.name}: {folder.relative_to(root)} {state}; {command} makes it"


def _find_problem(name: str, needs: Needs) -> str | None:
    """Return what is wrong with a set that `prepare.py testset --force` took all the same."""
    for folder in filter(None, (needs.gt, needs.lq)):
        try:
            problems = (read_record(folder.parent / PREPARED) or {}).get("problems")
        except OptionError as error:
            return str(error)
        if problems:
            return (
                f"{name}: is not the published set, --force took it: {problems[0]}; arrange it anew from its archive "
                "(docs/guide/testsets.md), or evaluate it by tools/evaluate.py"
            )
    return None


# --------------------------------------------------------------------------------------------------- quality metrics


def _look_for_quality_metric(needs: Needs, job: Job, root: Path) -> None:
    use, row = job.use, job.row
    assert use.root and row.metric
    places = [use.root, *filter(None, (use.pairs, use.labels))]
    absent = [place for place in places if not (root / place).exists()]
    if absent:
        source = SOURCES[use.reader] + "; docs/guide/iqa.md" if use.reader else use.source
        needs.lacks.append(Lack("test set", f"{job.dataset}: {absent[0]} is not there; see {source}"))
    for value in row.metric_options.values():
        is_name = isinstance(value, str) and Path(value).suffix in (".pth", ".safetensors")
        if is_name and not (root / value).is_file():
            needs.lacks.append(Lack("checkpoint", f"{value}; train it: python basicsr/train.py -opt {row.options}"))
    if lack := find_metric_lack(row.metric, root):
        needs.lacks.append(lack)


# ----------------------------------------------------------------------------------------------------------- weights


def find_metric_lack(metric: str, root: Path) -> Lack | None:
    """Return what a metric's published weights or its package lack; None where all that is known of is there.

    Metrics that the list of weights does not have are left to pyiqa, which fetches theirs at the first use.
    """
    known = find_metric(metric)
    if known.pyiqa and importlib.util.find_spec("pyiqa") is None:
        return Lack("metric weights", f"{known.name}: the package pyiqa is not installed (pip install pyiqa)")
    absent = ", ".join(entry.name for entry in list_metric_weights(metric) if not is_there(entry, root))
    if not absent:
        return None
    return Lack("metric weights", f"{known.name}: {absent}; python tools/weights.py fetch --metrics {known.name}")


def list_metric_weights(metric: str) -> list[Weights]:
    """Return the entries of the list of weights that a metric needs."""
    return [entry for need in find_metric(metric).needs for entry in read_list() if entry.serves(need)]


def _shorten_path(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
