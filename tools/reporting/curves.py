"""Curves for tools/report.py: losses.csv and metrics.csv of experiments as inline SVG, an experiment a line."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from prismsr.models.training.curves import LOG_SPREAD, PICTURE
from prismsr.models.training.log import LOSSES, METRICS, Row, read_log
from prismsr.tools.reporting.html import Element, element
from prismsr.utils.errors import OptionError

WIDTH, HEIGHT = 360, 200
LEFT, RIGHT, TOP, BOTTOM = 52, 10, 10, 26  # margins around the axes
POINTS = 240  # of a line; more are averaged in groups, which also smooths noisy losses
DOTS = 30  # lines of at most so many points have them marked
COLOURS = 8  # classes c0 to c7 of the style sheet
Line = list[tuple[float, float]]


@dataclass
class Chart:
    """One diagram: lines of (iteration, value) by name; values are finite."""

    title: str
    lines: dict[str, Line] = field(default_factory=dict)
    left_out: int = 0
    """Values that are not finite."""


@dataclass
class Curves:
    """Diagrams of all experiments, and losses.png of those that have no tables."""

    metrics: list[Chart] = field(default_factory=list)
    losses: list[Chart] = field(default_factory=list)
    pictures: dict[str, bytes] = field(default_factory=dict)


def read_experiments(folders: Sequence[Path], problems: list[str]) -> Curves:
    """Read the tables of experiments.

    Args:
        folders: experiments, or folders of experiments.
        problems: receives what has nothing to draw.

    Raises:
        OptionError: no such folder.
    """
    curves = Curves()
    metrics: dict[str, Chart] = {}
    losses: dict[str, Chart] = {}
    for folder in _experiments(folders, problems):
        rows, measured = read_log(folder / LOSSES), read_log(folder / METRICS)
        _add_losses(losses, folder.name, rows)
        _add_metrics(metrics, folder.name, measured)
        if not rows and not measured and (folder / PICTURE).is_file():
            curves.pictures[folder.name] = (folder / PICTURE).read_bytes()
        elif not rows:
            problems.append(f"{folder}: has no {LOSSES} with a row")
    curves.metrics, curves.losses = list(metrics.values()), list(losses.values())
    return curves


def _experiments(folders: Sequence[Path], problems: list[str]) -> list[Path]:
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


def _add_losses(charts: dict[str, Chart], experiment: str, rows: Sequence[Row]) -> None:
    names = dict.fromkeys(name for row in rows for name in row if name not in ("iter", "epoch"))
    for name in sorted(names, key=lambda name: name.startswith("lr_")):
        title = "learning rate" + ("" if name == "lr_0" else f", group {name[3:]}") if name.startswith("lr_") else name
        _add(charts, title, experiment, ((row["iter"], row.get(name, "")) for row in rows))


def _add_metrics(charts: dict[str, Chart], experiment: str, rows: Sequence[Row]) -> None:
    for metric, dataset in dict.fromkeys((row["metric"], row["dataset"]) for row in rows):
        own = ((row["iter"], row["value"]) for row in rows if (row["metric"], row["dataset"]) == (metric, dataset))
        _add(charts, f"{metric}, {dataset}", experiment, own)


def _add(charts: dict[str, Chart], title: str, experiment: str, pairs: Iterable[tuple[str, str]]) -> None:
    numbers = [(float(iteration), float(value)) for iteration, value in pairs if value]
    finite = [(x, y) for x, y in numbers if math.isfinite(y)]
    chart = charts.setdefault(title, Chart(title))
    chart.left_out += len(numbers) - len(finite)
    if finite:
        chart.lines[experiment] = thinned(finite)


def thinned(line: Line) -> Line:
    """At most `POINTS` points: the means of groups of neighbours of equal size."""
    size = -(-len(line) // POINTS)
    groups = [line[start : start + size] for start in range(0, len(line), size)]
    return [(sum(x for x, _ in group) / len(group), sum(y for _, y in group) / len(group)) for group in groups]


# ------------------------------------------------------------------------------------------------ drawing


def draw(chart: Chart, colours: Mapping[str, int]) -> Element:
    """A figure with the diagram; `colours` has the number of the colour by experiment."""
    points = [point for line in chart.lines.values() for point in line]
    caption = chart.title + (f" ({chart.left_out} values not finite)" if chart.left_out else "")
    figure = element("figure", element("figcaption", caption), class_="chart")
    if not points:
        figure.append(element("p", "no finite value"))
        return figure
    axes = _Axes([x for x, _ in points], [y for _, y in points])
    svg = element("svg", viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img", aria_label=caption)
    svg.extend(axes.grid())
    for name, line in chart.lines.items():
        svg.append(_drawn(axes, name, line, colours[name] % COLOURS))
    figure.append(svg)
    return figure


def _drawn(axes: "_Axes", name: str, line: Line, colour: int) -> Element:
    places = [axes.place(x, y) for x, y in line]
    told = element("title", f"{name}: last {line[-1][1]:.6g} at {line[-1][0]:g}")
    group = element("g", told, class_=f"line c{colour}")
    group.append(element("polyline", points=" ".join(f"{x:.1f},{y:.1f}" for x, y in places)))
    if len(line) <= DOTS:
        group.extend(element("circle", cx=f"{x:.1f}", cy=f"{y:.1f}", r=3) for x, y in places)
    return group


class _Axes:
    """The mapping of iterations and values to the picture; values logarithmic where they span more than 30-fold."""

    def __init__(self, xs: Sequence[float], ys: Sequence[float]) -> None:
        self.log = min(ys) > 0 and max(ys) > LOG_SPREAD * min(ys)
        self.x_range = _widened(min(0.0, *xs), max(xs) * 1.02, 0.0)
        scaled = [math.log10(y) for y in ys] if self.log else ys
        self.y_range = _widened(min(scaled), max(scaled), 0.05)

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Where a point lies, in units of the SVG."""
        scaled = math.log10(y) if self.log else y
        across = (x - self.x_range[0]) / (self.x_range[1] - self.x_range[0])
        up = (scaled - self.y_range[0]) / (self.y_range[1] - self.y_range[0])
        return LEFT + across * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM)

    def grid(self) -> list[Element]:
        """Lines and numbers of both axes."""
        parts = []
        for value in log_ticks(*self.y_range) if self.log else ticks(*self.y_range):
            y = self.place(self.x_range[0], value)[1]
            parts.append(element("line", x1=LEFT, x2=WIDTH - RIGHT, y1=f"{y:.1f}", y2=f"{y:.1f}", class_="grid"))
            parts.append(element("text", f"{value:.4g}", x=LEFT - 5, y=f"{y + 3.5:.1f}", text_anchor="end"))
        for value in ticks(*self.x_range):
            x = self.place(value, 1.0)[0]
            parts.append(
                element("line", x1=f"{x:.1f}", x2=f"{x:.1f}", y1=TOP, y2=HEIGHT - BOTTOM, class_="grid"),
            )
            parts.append(element("text", short(value), x=f"{x:.1f}", y=HEIGHT - 9, text_anchor="middle"))
        return parts


def _widened(low: float, high: float, share: float) -> tuple[float, float]:
    room = (high - low) * share
    if high - low <= 1e-12 * max(abs(low), abs(high)):
        room = abs(high) * 0.1 or 1.0
    return low - room, high + room


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round numbers in a range, about `count` of them."""
    raw = (high - low) / count
    unit = 10.0 ** math.floor(math.log10(raw))
    step = unit * next((factor for factor in (1, 2, 2.5, 5) if factor * unit >= raw), 10)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(number * step, 12) for number in range(first, last + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """Numbers 1, 2 and 5 times a power of ten, the powers alone where those are many; arguments are logarithms."""
    powers = range(math.floor(low), math.ceil(high) + 1)
    factors = (1, 2, 5) if high - low < 2.5 else (1,)
    values = (factor * 10.0**power for power in powers for factor in factors)
    return [value for value in values if low <= math.log10(value) <= high]


def short(value: float) -> str:
    """An iteration with k or M for thousands and millions."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"
