"""Which weights option files and metrics ask for."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prismsr.metrics.catalog import find_metric
from prismsr.utils.errors import OptionError
from prismsr.utils.options.files import find_option_files, load_options, shown
from prismsr.utils.weights.needs import needs_of
from prismsr.utils.weights.published import Weights, maker_of, read_list


@dataclass(frozen=True)
class Wanted:
    """What a command line asks for: entries of the list, with those that need each of them.

    `made` are checkpoints that an option file's training writes: path -> (that file, those that need it). `unknown` are
    needs that nothing is known of, with those that have them.
    """

    entries: dict[Weights, list[str]]
    made: dict[str, tuple[str, list[str]]]
    unknown: dict[str, list[str]]


def load_option_files(paths: Sequence[Path]) -> dict[str, dict[str, Any]]:
    """Load the option files below the folders, and the files, without fragments below `_base_`."""
    return {shown(file): load_options(file) for file in find_option_files(paths) if "_base_" not in file.parts}


def collect_wanted(
    options: dict[str, dict[str, Any]] | None,
    metrics: Sequence[str] | None,
    root: Path,
    entries: Sequence[Weights] | None = None,
) -> Wanted:
    """Sort out who needs what; OptionError for a metric of which no weights are known.

    Args:
        options: merged option files; None for all of the repository `root`.
        metrics: names of metrics; None for none where `options` is given, else for all.
        entries: the list of weights; None for the repository's.
    """
    entries, everything = read_list() if entries is None else entries, options is None and metrics is None
    makers = load_option_files([root / "options"]) if (root / "options").is_dir() else {}
    chosen = makers if everything else options or {}
    found: dict[Weights, list[str]] = {entry: [] for entry in entries} if everything else {}
    made: dict[str, tuple[str, list[str]]] = {}
    unknown: dict[str, list[str]] = {}
    for file, content in chosen.items():
        for need in needs_of(content):
            serving = [entry for entry in entries if entry.serves(need.what)]
            maker = maker_of(need.what, {**makers, **chosen})
            for entry in serving:
                found.setdefault(entry, []).append(file)
            if not serving and maker is not None:
                made.setdefault(need.what.removeprefix("file:"), (maker, []))[1].append(file)
            elif not serving:
                unknown.setdefault(need.what, []).append(f"{file} ({need.where})")
    for name in metrics or ():
        for entry in _find_entries(name, entries):
            found.setdefault(entry, []).append(f"the metric {name}")
    return Wanted(found, made, unknown)


def _find_entries(name: str, entries: Sequence[Weights]) -> list[Weights]:
    metric = find_metric(name)
    found = [entry for need in metric.needs for entry in entries if entry.serves(need)]
    if metric.needs and not found:
        raise OptionError(f"--metrics {name}: no weights of it are listed; pyiqa fetches its own where it has any")
    return found
