"""The results of tools/evaluate_iqa.py: a table of correlations beside the papers' figures, and a scatter plot."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from prismsr.metrics.correlation import CorrelationError, Correlations, correlate, fit_cubic, fit_logistic4
from prismsr.tools.iqa.metrics import PAPER_METHODS, Metric
from prismsr.tools.iqa.sets import IqaRecord, IqaSet
from prismsr.tools.paper_tables import lookup
from prismsr.utils.files import atomic_write

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
class Row:
    """Correlations of one group of images (None where there are none, with a note), and the paper's, by metric."""

    group: str
    count: int
    found: Correlations | None
    paper: Mapping[str, float]
    notes: Sequence[str] = ()

    def cells(self, missing: str = "-") -> list[str]:
        """The row as text, figures with 4 digits."""
        found = self.found
        ours = (found.plcc, found.plcc_cubic, found.plcc_logistic, found.srcc, found.krcc) if found else (None,) * 5
        values = [*ours, *(self.paper.get(name) for name in PAPER)]
        return [self.group, str(self.count), *(missing if value is None else f"{value:.4f}" for value in values)]


def make_rows(iqa_set: IqaSet, scores: Mapping[str, float], metric: Metric) -> list[Row]:
    """A row for the whole set and for every group of it, over the images that have a score."""
    rows = []
    for group, records in iqa_set.groups().items():
        scored = [record for record in records if record.name in scores]
        paper = _paper(iqa_set.name, group, metric.name)
        try:
            found = correlate(*_vectors(scored, scores))
        except CorrelationError as error:
            rows.append(Row(group, len(scored), None, paper, (f"{group}: {error}",)))
        else:
            rows.append(Row(group, len(scored), found, paper, [f"{group}: {note}" for note in found.notes]))
    return rows


def markdown(title: str, rows: Sequence[Row], metric: Metric, notes: Sequence[str]) -> str:
    """The report: table, what its columns are, notes."""
    method = PAPER_METHODS.get(metric.name)
    header = ["group", "images", *OURS, *(f"paper {name}" for name in PAPER)]
    table = [row.cells() for row in rows]
    widths = [max(len(line[column]) for line in [header, *table]) for column in range(len(header))]
    lines = [f"# {title}", "", f"{metric.name}: {metric.better} is better. Options: {dict(metric.options)}.", ""]
    for number, cells in enumerate([header, *table]):
        lines.append("| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)) + " |")
        if number == 0:
            lines.append("|" + "|".join("-" * (width + 2) for width in widths) + "|")
    printed = method is not None and any(row.paper for row in rows)
    paper = (
        f"{method} in SFD's Tables 3 and 4" if printed else "SFD's tables have no figures of this metric on this set"
    )
    lines += ["", PROTOCOLS, "", f"Paper: {paper}.", ""]
    every_note = [*notes, *(note for row in rows for note in row.notes)]
    return "\n".join([*lines, *(f"- {note}" for note in every_note), ""])


def write_csv(path: Path, rows: Sequence[Row]) -> None:
    """The table as CSV; a figure that there is not is an empty cell."""
    text = io.StringIO()
    writer = csv.writer(text)
    names = [name.lower().replace(" ", "_") for name in OURS] + [f"paper_{name.lower()}" for name in PAPER]
    writer.writerow(["group", "images", *names])
    writer.writerows(row.cells(missing="") for row in rows)
    atomic_write(path, text.getvalue().encode())


def write_scatter(path: Path, title: str, iqa_set: IqaSet, scores: Mapping[str, float], metric: Metric) -> None:
    """Score against MOS, a colour per kind, with the cubic and the logistic fit over all points, as PNG."""
    figure = Figure(figsize=(6.4, 4.8), layout="constrained")
    axes = figure.subplots()
    scored = [record for record in iqa_set.records if record.name in scores]
    size = float(np.clip(3000 / max(len(scored), 1), 3, 30))
    for number, kind in enumerate(sorted({record.kind for record in scored})):
        x, y = _vectors([record for record in scored if record.kind == kind], scores)
        axes.scatter(x, y, s=size, alpha=0.45, linewidths=0, color=f"C{number}", label=kind or "images")
    x, y = _vectors(scored, scores)
    order = np.argsort(x)
    for label, fit, style in (("cubic fit", fit_cubic, "-"), ("logistic fit", fit_logistic4, "--")):
        try:
            axes.plot(x[order], fit(x, y)[order], style, color="black", linewidth=1.6, label=label)
        except CorrelationError:
            continue  # the table says why
    margin = SMALL_SHARE * np.ptp(y)
    axes.set_ylim(y.min() - margin, y.max() + margin)  # a cubic may leave the picture at its ends
    axes.set(xlabel=f"{metric.short_name} ({metric.better} is better)", ylabel="MOS", title=title)
    axes.legend(fontsize=8, markerscale=1.5)
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=120)
    atomic_write(path, data.getvalue())


def _vectors(records: Sequence[IqaRecord], scores: Mapping[str, float]) -> tuple[np.ndarray, np.ndarray]:
    """Scores (n,) and MOS (n,) of the records."""
    pairs = np.array([(scores[record.name], record.mos) for record in records], np.float64).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]


def _paper(set_name: str, group: str, metric_name: str) -> dict[str, float]:
    dataset, method = PAPER_SETS.get(set_name), PAPER_METHODS.get(metric_name)
    if dataset is None or method is None:
        return {}
    if group == "all":
        return lookup("sfd_table3", dataset, method)
    return lookup("sfd_table4", f"{dataset}. {group}", method)
