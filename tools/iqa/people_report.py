"""The results of tools/analyse_iqa.py as Markdown, CSV, JSON and a heat map, beside the AMO paper's figures."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import chain, product
from pathlib import Path
from typing import Any

from prismsr.metrics.catalog import find_metric
from prismsr.metrics.preference import NEGATIVE, ORIGINAL, POSITIVE, SIMILAR, TIE, Agreement, Misalignment, Share
from prismsr.tools.iqa.people import Choices
from prismsr.tools.iqa.preference_pairs import PreferencePairs
from prismsr.tools.paper_tables import find_figures
from prismsr.utils.csv_files import write_rows
from prismsr.utils.files import atomic_write, write_figure
from prismsr.utils.tables import markdown_table

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

PAPER_TABLE, PAPER_SET = "amo_table6", "SBS180K (1212 pairs)"
PAPER_SHARES = {"holding": 6, "negative_on_top": 34, "negative_on_top_of_all": 2}
"""AMO's figures for HGGT's training set in percent; the last two are MUSIQ's."""
PAIRS_NOTES = (
    "Accuracy: share of the compared pairs that a metric orders as people do; pairs of equal scores count half. Human "
    "ties are left out. The paper's accuracies are those of its Table 6, on 1212 pairs of SBS180K; they fit a "
    "denominator of 1136, so that 76 pairs, perhaps ties, seem to be left out there, too.",
    "Complementarity: of the pairs that the metric of the row gets wrong, the share that the metric of the column gets "
    "right (number of pairs). The paper's section 3 has no figures of it that were to be had.",
)
HGGT_NOTES = (
    "PM (positive misalignment): share of the pairs (positive, original) with the positive scored lower. NM (negative "
    "misalignment): share of the pairs (negative, original) with the negative scored higher. PM all and NM all: "
    "against every member of a lower and a higher class. Best: class of the image with the highest score, in percent "
    "of the groups. Negative best: of the groups that hold a negative, those where one is best.",
    "The paper's formulas were not to be had; these are reconstructions. Its text gives, for HGGT's training set, "
    "about 6 % of groups with a negative, and for MUSIQ a negative on top of about 34 % of them, 2 % of all groups.",
)


def write_table(path: Path, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Write a table as CSV; a figure that there is not ("-") is an empty cell."""
    columns = [name.removesuffix(" %").replace(" ", "_") for name in header]
    write_rows(path, columns, ([("" if cell == "-" else cell) for cell in row] for row in rows))


def format_percent(value: float | None) -> str:
    """Return a share with two digits after the point, without the sign; - where there is none."""
    return "-" if value is None or math.isnan(value) else f"{100 * value:.2f}"


def find_paper_accuracy(metric: str) -> float | None:
    """Return the paper's accuracy of a metric in percent, None where its table has none."""
    return find_figures(PAPER_TABLE, PAPER_SET, *find_metric(metric).printed).get("Accuracy")


def report_pairs(folder: Path, pairs: PreferencePairs, found: Choices) -> str:
    """Write accuracy.csv, complementarity.csv and .png, report.json and report.md; return the latter.

    The folder's name is the title; `found` is what metrics made of the pairs.
    """
    agreements, shares, counts = found.agreements, found.shares, found.counts
    title = f"{folder.name}: {len(pairs.choices)} pairs, {int((pairs.choices == TIE).sum())} of them ties"
    names = list(agreements)
    header = ["metric", "compared", "equal scores", "no score", "human ties", "accuracy %", "paper %"]
    rows = [_format_row(name, one) for name, one in agreements.items()]
    cells = [[(format_percent(shares[i, j]), str(counts[i, j])) for j in range(len(names))] for i in range(len(names))]
    matrix = [[name, *(f"{share} ({count})" for share, count in row)] for name, row in zip(names, cells, strict=True)]
    flat = [[*pair, *cell] for pair, cell in zip(product(names, repeat=2), chain(*cells), strict=True)]
    write_table(folder / "accuracy.csv", header, rows)
    write_table(folder / "complementarity.csv", ["wrong", "metric", "accuracy", "pairs"], flat)
    draw_complementarity(folder / "complementarity.png", names, shares)
    metrics = {
        name: {**asdict(one), "accuracy": one.accuracy, "paper_accuracy_percent": find_paper_accuracy(name)}
        for name, one in agreements.items()
    }
    content = {"title": title, "metrics": metrics, "complementarity": shares.tolist(), "pairs": counts.tolist()}
    write_json(folder / "report.json", {**content, "notes": list(found.notes)})
    lines = [f"# {title}", "", markdown_table(header, rows), "", PAIRS_NOTES[0], ""]
    lines += [markdown_table(["wrong \\ right %", *names], matrix), "", PAIRS_NOTES[1], ""]
    return _finish(folder, lines, found.notes)


def _format_row(name: str, found: Agreement) -> list[str]:
    paper = find_paper_accuracy(name)
    numbers = [str(number) for number in (found.compared, found.equal, found.missing, found.ties)]
    return [name, *numbers, format_percent(found.accuracy), "-" if paper is None else f"{paper:.2f}"]


def report_hggt(folder: Path, title: str, found: Mapping[str, Misalignment], notes: Sequence[str]) -> str:
    """Write misalignment.csv, report.json and report.md of what was found by metric; return the latter."""
    header = ["metric", "PM %", "NM %", "PM all %", "NM all %"]
    header += [f"best {name} %" for name in ("original", "positive", "similar", "negative")]
    header += ["groups", "with a negative", "negative held %", "negative best %", "negative best of all %"]
    rows = []
    for name, one in found.items():
        shares = [one.positive, one.negative, one.positive_all, one.negative_all]
        shares += [one.top[code] for code in (ORIGINAL, POSITIVE, SIMILAR, NEGATIVE)]
        groups = [str(one.holding.total), str(one.holding.count)]
        last = [one.holding, one.negative_on_top, Share(one.negative_on_top.count, one.holding.total)]
        numbers = [[format_percent(share.value) for share in some] for some in (shares, last)]
        rows.append([name, *numbers[0], *groups, *numbers[1]])
    paper = ["AMO, MUSIQ (about)", *["-"] * (len(header) - 4), *(str(value) for value in PAPER_SHARES.values())]
    lines = [f"# {title}", "", markdown_table(header, [*rows, paper]), ""]
    lines += [line for note in HGGT_NOTES for line in (note, "")]
    write_table(folder / "misalignment.csv", header, rows)
    content = {name: _simplify(one) for name, one in found.items()}
    report = {"title": title, "metrics": content, "paper_percent": PAPER_SHARES, "notes": list(notes)}
    write_json(folder / "report.json", report)
    return _finish(folder, lines, notes)


def draw_complementarity(path: Path, names: Sequence[str], shares: NDArray[np.float64]) -> None:
    """Draw a heat map of `compute_complementarity`'s shares, as PNG."""
    side = 2.2 + 0.55 * len(names)
    figure = Figure(figsize=(side + 1, side), layout="constrained")
    axes = figure.subplots()
    percent = 100 * np.where(np.eye(len(names), dtype=bool), np.nan, shares)
    picture = axes.imshow(percent, cmap="viridis", vmin=0, vmax=100)
    for row, column in np.argwhere(~np.isnan(percent)):
        value = percent[row, column]
        colour = "white" if value < 60 else "black"
        axes.text(column, row, f"{value:.0f}", ha="center", va="center", color=colour, fontsize=8)
    axes.set_xticks(range(len(names)), names, rotation=60, ha="right", fontsize=8)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.set(xlabel="accuracy of", ylabel="where wrong:")
    figure.colorbar(picture, label="%")
    write_figure(path, figure, 120)


def write_json(path: Path, content: Any) -> None:
    """Write JSON; NaN, which it does not have, becomes null."""
    atomic_write(path, json.dumps(_replace_nan(content), indent=1, allow_nan=False).encode())


def _replace_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _replace_nan(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_replace_nan(each) for each in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def _simplify(value: Any) -> Any:
    """Return a `Misalignment` as JSON has it, each share with its value."""
    classes = {ORIGINAL: "original", POSITIVE: "positive", SIMILAR: "similar", NEGATIVE: "negative"}
    if isinstance(value, Share):
        return {"count": value.count, "total": value.total, "value": value.value}
    if isinstance(value, dict):
        return {classes[code]: _simplify(each) for code, each in value.items()}
    return {name: _simplify(each) for name, each in vars(value).items()}


def _finish(folder: Path, lines: Sequence[str], notes: Sequence[str]) -> str:
    text = "\n".join([*lines, *(f"- {note}" for note in notes), ""]).rstrip() + "\n"
    atomic_write(folder / "report.md", text.encode())
    return text
