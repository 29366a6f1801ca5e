"""Build the report page from a folder of results."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from prismsr.tools.reporting.about import describe_results
from prismsr.tools.reporting.crops import CropOptions, compare
from prismsr.tools.reporting.curves import read_experiments
from prismsr.tools.reporting.evaluations import read_results
from prismsr.tools.reporting.page import Story, read_extras, render_page
from prismsr.tools.reporting.paper_tables import read_paper_tables
from prismsr.utils.errors import OptionError
from prismsr.utils.files import atomic_write
from prismsr.utils.names import did_you_mean


def write_report(
    results: Path,
    output: Path,
    title: str,
    options: CropOptions | None = None,
    methods: Sequence[str] = (),
    experiments: Sequence[Path] = (),
    refresh: int | None = None,
    about: Sequence[str] = (),
    look: str = "",
    extras: Sequence[tuple[str, Path, str]] = (),
    found: Sequence[str] = (),
) -> list[str]:
    """Write the page; byte for byte the same for the same results.

    Args:
        results: folder that is searched.
        output: the page.
        title: of the page.
        options: which crops; `max_bytes` is for all data sets together.
        methods: see `evaluations.read_results`.
        experiments: see `curves.read_experiments`.
        refresh: seconds after which the page reloads itself; None: never.
        about: sentences on what was done; without them they are made from the results.
        look: what to look for in the pictures.
        extras: title, picture file and sentence of what follows the pictures.
        found: sentences on what was found.

    Returns:
        What is missing or could not be read; the page tells it, too.

    Raises:
        OptionError: there is nothing to show, or the arguments name what is not there.
        OSError: the page cannot be written.
    """
    options = options or CropOptions()
    problems: list[str] = []
    evaluated = read_results(results, methods, problems)
    curves = read_experiments(experiments, problems)
    papers = read_paper_tables(results, problems)
    if not (evaluated or papers or curves):
        told = f"; {problems[0]}" if problems else ""
        raise OptionError(
            f"{results}: there is nothing to show: no results of tools/evaluate.py or reproduce.py, no curves{told}"
        )
    _require_known("--at", options.places, {image for group in evaluated for image in group.images})
    _require_known("--lq", options.lq, {group.dataset for group in evaluated})
    share = replace(options, max_bytes=options.max_bytes // max(1, len(evaluated)))
    groups = [(group, compare(group, share, problems) if share.max_images else []) for group in evaluated]
    story = Story(about or describe_results(evaluated, papers, curves), look, read_extras(extras, problems), found)
    text = render_page(title, story, groups, curves, papers, problems, refresh)
    atomic_write(output, text.encode("utf8"))
    return list(dict.fromkeys(problems))


def _require_known(option: str, names: Iterable[str], known: set[str]) -> None:
    for name in names:
        if name not in known:
            raise OptionError(f"{option} {name}: the results have no such name{did_you_mean(name, known)}")
