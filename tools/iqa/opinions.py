"""Correlate a metric's scores of a quality data set with people's opinions; a table beside the papers', and a plot.

Paper: SFD, tables 3 and 4.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from prismsr.metrics.catalog import Metric
from prismsr.metrics.correlation import CorrelationError, Correlations, correlate, fit_cubic, fit_logistic4
from prismsr.tools.evaluation.columns import Scorer
from prismsr.tools.evaluation.image_scores import score_images
from prismsr.tools.iqa.sets import IqaRecord, IqaSet
from prismsr.tools.paper_tables import find_figures
from prismsr.utils.csv_files import write_rows
from prismsr.utils.files import atomic_write, write_figure
from prismsr.utils.processes import OnError
from prismsr.utils.tables import markdown_table

import numpy as np
from matplotlib.figure import Figure

PAPER_SETS = {"koniq10k": "KonIQ-10k", "livec": "LIVE-itW", "pipal": "PIPAL", "ma": "Ma's dataset"}
"""What SFD's Table 3 calls the sets; Table 4 puts the sub-type behind, as in "PIPAL. GAN.SR"."""
OURS = ["PLCC raw", "PLCC cubic", "PLCC logistic", "SRCC", "KRCC"]
PAPER = ["PLCC", "SRCC", "KRCC"]
SMALL_SHARE = 0.02  # of the picture's range, left free around the points
PROTOCOLS = (
    "PLCC raw: of the scores as they are. PLCC cubic: after a polynomial of degree 3 (PIPAL, RecycleD, DualFormer). "
    "PLCC logistic: after a monotone logistic of 4 parameters (VQEG). Both fits turn a lower-is-better metric around; "
    "raw PLCC, SRCC and KRCC keep its sign. The paper does not say which PLCC it prints, and prints no signs."
)


@dataclass(frozen=True)
class Group:
    """Correlations over the images of a group that have a score; None where there are none, with a note."""

    name: str
    count: int
    found: Correlations | None
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Opinions:
    """How a metric follows the opinions on a set: scores by name of the image, and groups by name, "all" the whole set.

    `skipped` are messages of the images without a score.
    """

    iqa_set: IqaSet
    scorer: Scorer
    scores: Mapping[str, float]
    groups: Mapping[str, Group]
    skipped: Sequence[str]

    @property
    def notes(self) -> list[str]:
        """Return what is to be known of the set and of the figures."""
        lacking = f"{len(self.skipped)} of {len(self.iqa_set.records)} images have no score and are left out"
        own = [note for group in self.groups.values() for note in group.notes]
        return [*self.iqa_set.notes, *([lacking] if self.skipped else []), *own]


def limit_set(iqa_set: IqaSet, limit: int | None) -> IqaSet:
    """Return the set, or `limit` of its images, evenly spread, with a note."""
    records = iqa_set.records
    if limit is None or limit >= len(records):
        return iqa_set
    chosen = [records[index] for index in np.linspace(0, len(records) - 1, limit).round().astype(int)]
    note = f"only {limit} of the {len(records)} images (--limit): not to be compared with the paper's figures"
    return replace(iqa_set, records=chosen, notes=[note, *iqa_set.notes])


def correlate_set(
    iqa_set: IqaSet, scorer: Scorer, store: Path, *, workers: int, device: str, on_error: OnError = "stop"
) -> Opinions:
    """Score the images of a set and correlate the scores with the opinions.

    Raises:
        CorrelationError: there is no correlation over the whole set. Else see `score_images`, which has the arguments.
    """
    images = {record.name: record.path for record in iqa_set.records}
    scores, skipped = score_images(images, scorer, store, workers=workers, device=device, on_error=on_error)
    groups = {name: _correlate_group(name, records, scores) for name, records in iqa_set.split_groups().items()}
    if groups["all"].found is None:
        raise CorrelationError(groups["all"].notes[0])
    return Opinions(iqa_set, scorer, scores, groups, skipped)


def _correlate_group(name: str, records: Sequence[IqaRecord], scores: Mapping[str, float]) -> Group:
    x, y = make_vectors(records, scores)
    try:
        found = correlate(x, y)
    except CorrelationError as error:
        return Group(name, len(x), None, [f"{name}: {error}"])
    return Group(name, len(x), found, [f"{name}: {note}" for note in found.notes])


def make_vectors(records: Sequence[IqaRecord], scores: Mapping[str, float]) -> tuple[np.ndarray, np.ndarray]:
    """Return scores (n,) and MOS (n,) of the records that have a score."""
    pairs = [(scores[record.name], record.mos) for record in records if record.name in scores]
    table = np.array(pairs, np.float64).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def write_opinions(folder: Path, stem: str, opinions: Opinions, table: Path | None = None) -> str:
    """Write STEM.md, STEM_correlations.csv and the scatter plot STEM.png; return the content of STEM.md.

    `table` is the CSV file, where it has another place.
    """
    title = f"{opinions.scorer.spec.known.name} on {opinions.iqa_set.name}"
    papers = {name: _find_figures(opinions.iqa_set.name, name, opinions.scorer.spec.known) for name in opinions.groups}
    rows = {name: _format_cells(group, papers[name]) for name, group in opinions.groups.items()}
    text = _format_report(title, rows, any(papers.values()), opinions)
    names = [name.lower().replace(" ", "_") for name in [*OURS, *(f"paper {name}" for name in PAPER)]]
    write_rows(table or folder / f"{stem}_correlations.csv", ["group", "images", *names], rows.values())
    atomic_write(folder / f"{stem}.md", text.encode())
    write_scatter(folder / f"{stem}.png", title, opinions)
    return text


def _format_cells(group: Group, paper: Mapping[str, float]) -> list[str]:
    """Return a row as text: name, images, ours and the paper's, figures with 4 digits; "" where there is none."""
    found = group.found
    ours = (found.plcc, found.plcc_cubic, found.plcc_logistic, found.srcc, found.krcc) if found else (None,) * 5
    values = [*ours, *(paper.get(name) for name in PAPER)]
    return [group.name, str(group.count), *("" if value is None else f"{value:.4f}" for value in values)]


def _format_report(title: str, rows: Mapping[str, list[str]], printed: bool, opinions: Opinions) -> str:
    scorer = opinions.scorer
    known, options = scorer.spec.known, dict(scorer.spec.settings)
    header = ["group", "images", *OURS, *(f"paper {name}" for name in PAPER)]
    table = markdown_table(header, [[cell or "-" for cell in row] for row in rows.values()])
    paper = "SFD's Tables 3 and 4" if printed else "SFD's tables have no figures of this metric on this set"
    about = f"{known.name} ({scorer.version}): {scorer.better} is better. Options: {options}."
    lines = [f"# {title}", "", about, "", table, "", PROTOCOLS, "", f"Paper: {paper}.", ""]
    return "\n".join([*lines, *(f"- {note}" for note in opinions.notes), ""])


def write_scatter(path: Path, title: str, opinions: Opinions) -> None:
    """Draw score against MOS, a colour per kind, with the cubic and the logistic fit over all points, as PNG."""
    figure = Figure(figsize=(6.4, 4.8), layout="constrained")
    axes = figure.subplots()
    scores, scorer = opinions.scores, opinions.scorer
    scored = [record for record in opinions.iqa_set.records if record.name in scores]
    size = float(np.clip(3000 / max(len(scored), 1), 3, 30))
    for number, kind in enumerate(sorted({record.kind for record in scored})):
        x, y = make_vectors([record for record in scored if record.kind == kind], scores)
        axes.scatter(x, y, s=size, alpha=0.45, linewidths=0, color=f"C{number}", label=kind or "images")
    x, y = make_vectors(scored, scores)
    order = np.argsort(x)
    for label, fit, style in (("cubic fit", fit_cubic, "-"), ("logistic fit", fit_logistic4, "--")):
        try:
            axes.plot(x[order], fit(x, y)[order], style, color="black", linewidth=1.6, label=label)
        except CorrelationError:
            continue  # the table says why
    margin = SMALL_SHARE * np.ptp(y)
    axes.set_ylim(y.min() - margin, y.max() + margin)  # a cubic may leave the picture at its ends
    axes.set(xlabel=f"{scorer.spec.known.name} ({scorer.better} is better)", ylabel="MOS", title=title)
    axes.legend(fontsize=8, markerscale=1.5)
    write_figure(path, figure, 120)


def _find_figures(set_name: str, group: str, metric: Metric) -> dict[str, float]:
    dataset = PAPER_SETS.get(set_name)
    if dataset is None:
        return {}
    if group == "all":
        return find_figures("sfd_table3", dataset, *metric.printed)
    return find_figures("sfd_table4", f"{dataset}. {group}", *metric.printed)
