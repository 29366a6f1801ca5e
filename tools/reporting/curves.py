"""Curves of experiments on the report page: losses.csv and metrics.csv as inline SVG, an experiment a line."""

import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from prismsr.models.training.curves import PICTURE, Curve, Panel, draw_panel, read_curve
from prismsr.models.training.log import LOSSES, METRICS, Row, read_log
from prismsr.utils.errors import OptionError

import numpy as np
from cycler import cycler
from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.figure import Figure

RATE = "learning rate"
POINTS = 240  # of a line; more are averaged in groups
COLOURS = 8  # c0 to c7 of the style sheet; c8 is the grid's
_PAINT = "#00c00"  # with a digit: stands for a colour of the style sheet
_STYLE: dict[Any, Any] = {
    "axes.facecolor": "none",
    "axes.prop_cycle": cycler(color=[f"{_PAINT}{number}" for number in range(COLOURS)]),
    **{f"axes.spines.{side}": False for side in ("left", "right", "top", "bottom")},
    "figure.facecolor": "none",
    "grid.color": f"{_PAINT}{COLOURS}",
    "svg.fonttype": "none",  # text as text: smaller than its outlines, and in the page's font
    **{f"{axis}tick.{kind}.size": 0 for axis in "xy" for kind in ("major", "minor")},
}
_NO_METADATA = dict.fromkeys(("Creator", "Date", "Format", "Type"))

Pairs = Iterable[tuple[str, str]]


@dataclass
class Curves:
    """Diagrams of all experiments, and losses.png of those that have no tables."""

    metrics: list[Panel] = field(default_factory=list)
    losses: list[Panel] = field(default_factory=list)
    pictures: dict[str, bytes] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.metrics or self.losses or self.pictures)

    @property
    def colours(self) -> dict[str, int]:
        """Return the number of each experiment's colour."""
        names = dict.fromkeys(name for panel in (*self.metrics, *self.losses) for name in panel.curves)
        return {name: number % COLOURS for number, name in enumerate(names)}


def read_experiments(folders: Sequence[Path], problems: list[str]) -> Curves:
    """Read the tables of experiments.

    Args:
        folders: experiments, or folders of experiments.
        problems: receives what has nothing to draw and what cannot be read.

    Raises:
        OptionError: no such folder.
    """
    curves, metrics, losses = Curves(), dict[str, Panel](), dict[str, Panel]()
    found = _find_experiments(folders, problems)
    counts = Counter(folder.name for folder in found)
    for folder in found:
        name = folder.name if counts[folder.name] == 1 else str(folder)
        rows, measured = read_log(folder / LOSSES), read_log(folder / METRICS)
        for file, panels, split in (
            (LOSSES, losses, _split_losses(rows)),
            (METRICS, metrics, _split_metrics(measured)),
        ):
            try:
                for panel, pairs in split:
                    panels.setdefault(panel.title, panel).curves[name] = read_curve(pairs)
            except (KeyError, ValueError) as error:
                problems.append(f"{folder / file}: cannot be drawn ({type(error).__name__}: {error})")
        if not rows and not measured and (folder / PICTURE).is_file():
            curves.pictures[name] = (folder / PICTURE).read_bytes()
        elif not rows:
            problems.append(f"{folder}: has no {LOSSES} with a row")
    curves.metrics = list(metrics.values())
    curves.losses = sorted(losses.values(), key=lambda panel: panel.title.startswith(RATE))
    return curves


def _find_experiments(folders: Sequence[Path], problems: list[str]) -> list[Path]:
    found: list[Path] = []
    for folder in folders:
        if not folder.is_dir():
            raise OptionError(f"--experiments {folder}: no such folder")
        inner = [folder, *sorted(path for path in folder.iterdir() if path.is_dir())]
        held = [path for path in inner if any((path / name).is_file() for name in (LOSSES, METRICS, PICTURE))]
        if not held:
            problems.append(f"{folder}: has no {LOSSES}, {METRICS} or {PICTURE}")
        found += [path for path in held if path not in found]
    return found


def _split_losses(rows: Sequence[Row]) -> Iterator[tuple[Panel, Pairs]]:
    for name in dict.fromkeys(name for row in rows for name in row if name not in ("iter", "epoch")):
        title = RATE + ("" if name == "lr_0" else f", group {name[3:]}") if name.startswith("lr_") else name
        yield Panel(title, smooth=title == name), [(row["iter"], row.get(name, "")) for row in rows]


def _split_metrics(rows: Sequence[Row]) -> Iterator[tuple[Panel, Pairs]]:
    for metric, dataset in dict.fromkeys((row["metric"], row["dataset"]) for row in rows):
        own = [row for row in rows if (row["metric"], row["dataset"]) == (metric, dataset)]
        yield Panel(f"{metric}, {dataset}"), [(row["iter"], row["value"]) for row in own]


def thin(curve: Curve) -> Curve:
    """Return a curve of at most `POINTS` points without NaN: the means of neighbours in groups of equal size."""
    finite = np.isfinite(curve.values)
    points = np.stack([curve.iterations[finite], curve.values[finite]])
    size = -(-points.shape[1] // POINTS) or 1
    starts = np.arange(0, points.shape[1], size)
    if len(starts):
        points = np.add.reduceat(points, starts, axis=1) / np.diff(starts, append=points.shape[1])
    return Curve(points[0], points[1])


def draw_svg(panel: Panel, colours: Mapping[str, int], name: str) -> Markup:
    """Return the lines as an <svg> in the colours of the style sheet; equal for equal arguments.

    It holds no text but the ticks' numbers.

    Args:
        panel: without a finite value nothing is drawn: "".
        colours: number of the colour by line.
        name: of the diagram; ids of two names differ.
    """
    if not panel.finite.size:
        return Markup()
    curves = {line: thin(curve) for line, curve in panel.curves.items()}
    with rc_context({**_STYLE, "svg.hashsalt": name}):
        figure = Figure(figsize=(3.6, 2.0), layout="constrained")
        axes = figure.add_subplot()
        draw_panel(axes, replace(panel, curves=curves, colours=colours))
        axes.set_xlim(0, max(1, *(curve.iterations.max(initial=0) for curve in curves.values())) * 1.02)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata=_NO_METADATA)
    svg = buffer.getvalue()
    svg = re.sub(f"{_PAINT}([0-9])", r"var(--c\1)", svg[svg.index("<svg") :])
    svg = re.sub(r"<defs>\s*<style.*?</defs>", "", svg, count=1, flags=re.DOTALL)  # would hold for the whole page
    return Markup(re.sub(r'<g id="[^"]*"', "<g", svg))  # matplotlib numbers groups anew in each figure
