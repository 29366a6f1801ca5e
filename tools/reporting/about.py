"""Say in sentences what a report shows, from its results."""

from collections.abc import Iterable, Sequence

from prismsr.tools.reporting.curves import Curves
from prismsr.tools.reporting.evaluations import Group
from prismsr.tools.reporting.paper_tables import PaperTable

LISTED = 6
"""Names that a sentence lists; more are counted."""


def describe_results(groups: Sequence[Group], papers: Sequence[PaperTable], curves: Curves) -> list[str]:
    """Return at most three sentences: of evaluations, else of a paper's tables, else of training curves."""
    if groups:
        return _describe_evaluations(groups)
    if papers:
        return [f"{one.name}, {one.title}: {one.made} of {one.makeable} figures were made here." for one in papers[:3]]
    return _describe_curves(curves)


def _describe_evaluations(groups: Sequence[Group]) -> list[str]:
    evaluations = [one for group in groups for one in group.evaluations]
    methods = dict.fromkeys(one.method for one in evaluations)
    images = {(group.dataset, image) for group in groups for image in group.images}
    better = {name: metric.better for one in evaluations for name, metric in one.summary.metrics.items()}
    ways = [
        f"{join_words(names)} ({way} is better)"
        for way in ("higher", "lower")
        if (names := [name for name, one in better.items() if one == way])
    ]
    protocols = dict.fromkeys(group.protocol for group in groups)
    return [
        f"{count(methods, 'method')} {'are compared' if len(methods) > 1 else 'is measured'} on "
        f"{count(images, 'image')} of {join_words(group.dataset for group in groups)}: {join_words(methods)}.",
        f"The measures are {join_words(ways)}." if ways else "No metric was run.",
        f"The protocol{'s are' if len(protocols) > 1 else ' is'} {join_words(f'“{one}”' for one in protocols)}.",
    ]


def _describe_curves(curves: Curves) -> list[str]:
    last: dict[str, int] = {}
    for panel in (*curves.metrics, *curves.losses):
        for name, curve in panel.curves.items():
            last[name] = max(last.get(name, 0), int(curve.iterations.max(initial=0)))
    names = {**last, **curves.pictures}
    told = [f"{count(names, 'training')} {'are' if len(names) > 1 else 'is'} shown: {join_words(names)}."]
    if last:
        steps = [f"{step} of {name}" if len(last) > 1 else str(step) for name, step in last.items()]
        told.append(f"The last iteration is {join_words(steps)}.")
    validated: dict[str, list[str]] = {}
    for panel in curves.metrics:
        metric, _, dataset = panel.title.rpartition(", ")
        validated.setdefault(dataset, []).append(metric)
    if validated:
        on = (f"{join_words(metrics)} on {dataset}" for dataset, metrics in validated.items())
        told.append(f"Validation measures {join_words(on)}.")
    return told


def count(things: Iterable[object], name: str) -> str:
    """Return the number of things with their name.

    Example:
        >>> count("ab", "image")
        '2 images'
    """
    number = len(list(things))
    return f"{number} {name}{'' if number == 1 else 's'}"


def join_words(words: Iterable[str]) -> str:
    """Return names as a list in a sentence, each once; behind the sixth they are counted.

    Example:
        >>> join_words(["L1", "GAN", "L1", "GT"])
        'L1, GAN and GT'
    """
    names = list(dict.fromkeys(words))
    if len(names) > LISTED:
        names = [*names[: LISTED - 1], f"{len(names) - LISTED + 1} more"]
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)
