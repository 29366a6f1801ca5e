"""Draw the curves of a training, losses.png, from its losses.csv and metrics.csv.

The report page (tools/reporting/curves.py) draws its diagrams by `read_curve` and `draw_panel` as well.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from typing import Any

from prismsr.models.training.log import LOSSES, METRICS, Row, read_log
from prismsr.utils.files import write_figure

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, LogLocator, MaxNLocator, NullLocator

PICTURE = "losses.png"
COLUMNS = 3
PANEL = 4.2, 2.7  # inches
LOG_SPREAD = 30.0  # values that span more have a logarithmic axis
HUGE = 1e300  # what is larger cannot be drawn: ranges of it overflow
SMOOTH_FROM = 30  # points; fewer are drawn as they are
SMOOTH_SHARE = 40  # the window is this part of the points
UNITS = {"psnr": "dB"}
ARROWS = {"higher": " ↑", "lower": " ↓"}


@dataclass
class Curve:
    """One line: iterations (n,) and values (n,), NaN where one is not finite."""

    iterations: np.ndarray
    values: np.ndarray


@dataclass
class Panel:
    """One small diagram.

    Attributes:
        title: printed above it.
        curves: lines by their name in the legend.
        better: "higher" or "lower": each line's best value is marked; None marks nothing.
        smooth: draw a moving average over noisy lines.
        colours: numbers of the lines' colours by name; in order where there are none.
    """

    title: str
    curves: dict[str, Curve] = field(default_factory=dict)
    better: str | None = None
    smooth: bool = False
    colours: Mapping[str, int] = field(default_factory=dict)

    @property
    def caption(self) -> str:
        """Return the title, with the number of values that cannot be drawn."""
        missing = sum(int(np.isnan(curve.values).sum()) for curve in self.curves.values())
        return self.title + (f"  [{missing} not finite]" if missing else "")

    @property
    def finite(self) -> np.ndarray:
        """Return all values that can be drawn, shape (n,)."""
        values = np.concatenate([np.empty(0), *(curve.values for curve in self.curves.values())])
        return values[np.isfinite(values)]


def plot_curves(folder: Path, better: Mapping[str, str] | None = None) -> None:
    """Draw folder/losses.png from folder/losses.csv and folder/metrics.csv; without any row nothing is written.

    A panel for each loss (`x_real` and `x_fake` share one), one for the learning rates, and below them one for each
    metric with a line for each validation set. Of metrics that are "higher" or "lower" in `better`, the best value is
    marked. OSError where a file cannot be read or written.
    """
    losses = _loss_panels(read_log(folder / LOSSES))
    metrics = _metric_panels(read_log(folder / METRICS), better or {})
    groups = [group for group in (losses, metrics) if group]
    if not groups:
        return
    figure = _figure(groups)
    figure.suptitle(folder.name)
    write_figure(folder / PICTURE, figure)


def _figure(groups: Sequence[Sequence[Panel]]) -> Figure:
    """Return the diagrams: each group starts a row of its own; all panels have the same range of iterations."""
    columns = min(COLUMNS, max(len(group) for group in groups))
    rows = sum(ceil(len(group) / columns) for group in groups)
    figure = Figure(figsize=(columns * PANEL[0], rows * PANEL[1] + 0.4), dpi=110, layout="constrained")
    last = max(float(curve.iterations[-1]) for group in groups for panel in group for curve in panel.curves.values())
    first = 0
    for group in groups:
        for number, panel in enumerate(group, start=first + 1):
            axes = figure.add_subplot(rows, columns, number)
            axes.set_xlim(0, last * 1.02)
            _draw(axes, panel)
        first += ceil(len(group) / columns) * columns
    return figure


# ------------------------------------------------------------------------------------------------ what is drawn


def _loss_panels(rows: Sequence[Row]) -> list[Panel]:
    panels: dict[str, Panel] = {}
    names = [name for name in (rows[0] if rows else {}) if name not in ("iter", "epoch")]
    for name in sorted(names, key=lambda name: name.startswith("lr_")):  # losses first, in the order of the log
        title, _, label = name.rpartition("_")
        if name.startswith("lr_"):
            title, label = "learning rate", f"group {label}" if "lr_1" in names else ""
        elif label not in ("real", "fake"):
            title, label = name, ""
        panel = panels.setdefault(title, Panel(title, smooth=title != "learning rate"))
        panel.curves[label] = read_curve((row["iter"], row[name]) for row in rows)
    return list(panels.values())


def _metric_panels(rows: Sequence[Row], better: Mapping[str, str]) -> list[Panel]:
    panels = []
    for metric in dict.fromkeys(row["metric"] for row in rows):
        unit = f" ({UNITS[metric[:4]]})" if metric[:4] in UNITS else ""
        panel = Panel(metric + unit + ARROWS.get(better.get(metric, ""), ""), better=better.get(metric))
        own = [row for row in rows if row["metric"] == metric]
        for dataset in dict.fromkeys(row["dataset"] for row in own):
            panel.curves[dataset] = read_curve((row["iter"], row["value"]) for row in own if row["dataset"] == dataset)
        panels.append(panel)
    return panels


def read_curve(pairs: Iterable[tuple[str, str]]) -> Curve:
    """Return the curve of (iteration, value) as a log file has them; pairs with an empty value are left out.

    ValueError where a value is no number.
    """
    numbers = [(int(iteration), float(value)) for iteration, value in pairs if value]
    iterations, values = np.array(numbers, dtype=np.float64).reshape(-1, 2).T
    return Curve(iterations, np.where(np.abs(values) < HUGE, values, np.nan))


# ------------------------------------------------------------------------------------------------ how it is drawn


def _draw(axes: Axes, panel: Panel) -> None:
    draw_panel(axes, panel)
    axes.set_title(panel.caption, fontsize=10)
    axes.set_xlabel("iteration", fontsize=8)
    if any(panel.curves):
        axes.legend(fontsize=8, framealpha=0.7)


def draw_panel(axes: Axes, panel: Panel) -> None:
    """Draw the lines, the ticks and the grid; title, legend and range of iterations are the caller's."""
    for number, (name, curve) in enumerate(panel.curves.items()):
        colour = f"C{panel.colours.get(name, number)}"
        style: dict[str, Any] = {"color": colour, "label": name, "linewidth": 1.4, "zorder": 3}
        if panel.smooth and len(curve.values) >= SMOOTH_FROM:
            axes.plot(curve.iterations, curve.values, color=colour, linewidth=0.6, alpha=0.35)
            axes.plot(curve.iterations, smooth(curve.values), **style)
            continue
        style["marker"] = "." if len(curve.values) < SMOOTH_FROM else ""
        if panel.better is not None and np.isfinite(curve.values).any():
            best = int(np.nanargmax(curve.values) if panel.better == "higher" else np.nanargmin(curve.values))
            style["label"] = f"{name}: best {curve.values[best]:#.4g} at {curve.iterations[best]:,.0f}"
            star: dict[str, Any] = {"marker": "*", "markersize": 10, "markeredgecolor": "black", "markeredgewidth": 0.6}
            axes.plot(curve.iterations[best], curve.values[best], color=colour, zorder=4, **star)
        axes.plot(curve.iterations, curve.values, **style)
    _lay_out(axes, panel)


def smooth(values: np.ndarray) -> np.ndarray:
    """Return the centred moving average, shape (n,), over 1/40 of the points, at least 5; NaN is left out."""
    half = max(len(values) // SMOOTH_SHARE, 5) // 2
    finite = np.isfinite(values)
    kernel = np.ones(2 * half + 1)
    total = np.convolve(np.where(finite, values, 0.0), kernel)[half : half + len(values)]
    number = np.convolve(finite.astype(np.float64), kernel)[half : half + len(values)]
    return np.divide(total, number, out=np.full(len(values), np.nan), where=number > 0.5)


def _lay_out(axes: Axes, panel: Panel) -> None:
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    values = panel.finite
    if values.size and values.min() > 0 and values.max() > LOG_SPREAD * values.min():
        decades = np.log10(values.max()) - np.log10(values.min())
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if decades < 2.5 else (1,)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_locator(NullLocator())
    else:
        axes.ticklabel_format(axis="y", style="sci", scilimits=(-3, 4))
    axes.tick_params(labelsize=8)
    axes.grid(True, which="major", linewidth=0.5, alpha=0.5)
