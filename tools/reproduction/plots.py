"""Plots of tools/reproduce.py: the paper's figures with those made here over them.

Planes of perception and distortion (the subject of SFD's figure 1 and LGCAA's figure 8), bars and radars. All numbers
are from the papers' tables; data sets, axes and forms of the pictures are ours.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from prismsr.tools.reproduction.cells import Cell
from prismsr.utils.files import write_figure

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.text import Text
from matplotlib.transforms import Bbox

OURS_COLOUR, PAPER_COLOUR, TARGET_COLOUR = "#d62728", "#7f7f7f", "#1f77b4"
_OFFSETS = [(8, 0), (-8, 0), (0, 8), (0, -8), (7, 6), (-7, 6), (7, -6), (-7, -6)]
_RINGS = (1.0, 1.8, 2.8, 4.0, 5.5)
_HALO = [withStroke(linewidth=2.5, foreground="white")]  # keeps names legible on arrows
_ARROW = {"arrowstyle": "-", "color": "#bbbbbb", "linewidth": 0.6, "shrinkA": 0, "shrinkB": 3}


@dataclass(frozen=True)
class Plane:
    """A picture of one data set of a table: distortion on the x axis, a panel for each perceptual metric.

    Methods with the suffix `joined` are joined to those without it by an arrow.
    """

    table: str
    dataset: str
    distortion: str
    perception: tuple[str, ...]
    joined: str = ""


PLANES = (
    Plane("ssl-1", "DIV2K100", "PSNR", ("LPIPS", "DISTS"), joined="-SSL"),
    Plane("ssl-2", "RealSR", "PSNR", ("LPIPS", "MUSIQ"), joined="-SSL"),
    Plane("sfd-1", "DIV2K100", "PSNR", ("LPIPS", "DISTS")),
    Plane("sfd-2", "RealSR", "PSNR", ("LPIPS", "NIQE")),
    Plane("lgcaa-1", "RealSR", "PSNR", ("LPIPS", "MUSIQ")),
)
BARS = (("amo-6", "SBS180K (1212 pairs)", "Accuracy"),)
RADARS = (
    ("lgcaa-1_radar", "RealSR", ("StableSR", "ResShift", "PASD", "SeeSR", "LGCAA")),
    ("amo-7_radar_swinir", "HGGT Test-100", ("SwinIR-UPos", "SwinIR-UPos + FT", "SwinIR-AMO + FT")),
    ("amo-7_radar_resrgan", "HGGT Test-100", ("RESRGAN-UPos", "RESRGAN-UPos + FT", "RESRGAN-AMO + FT")),
    ("amo-8_radar_swinir", "RealSR v3", ("SwinIR-OriginsOnly", "SwinIR-UPos", "SwinIR-AMO", "SwinIR-AMO + FT")),
    ("amo-8_radar_resrgan", "RealSR v3", ("RESRGAN-OriginsOnly", "RESRGAN-UPos", "RESRGAN-AMO", "RESRGAN-AMO + FT")),
)
"""Name of the picture, which begins with the table's; data set; methods."""


def draw_plots(cells: Mapping[str, Sequence[Cell]], folder: Path) -> list[Path]:
    """Draw the pictures of the tables that are there, as PNG in a folder; return the files. `cells` are by table."""
    drawn = []

    def draw(name: str, dataset: str, draw_cells: Callable[[list[Cell]], Figure], **chosen: Sequence[str]) -> None:
        own = [cell for cell in cells.get(name.partition("_")[0], ()) if cell.dataset == dataset]
        own = [cell for cell in own if all(getattr(cell, key) in values for key, values in chosen.items())]
        if own:
            drawn.append(folder / f"{name}.png")
            write_figure(drawn[-1], draw_cells(own), 120)

    for plane in PLANES:
        draw(f"{plane.table}_plane", plane.dataset, partial(_draw_plane, plane))
    for table, dataset, metric in BARS:
        draw(f"{table}_bars", dataset, partial(_draw_bars, f"{table}: {metric}, {dataset}"), metric=(metric,))
    for name, dataset, methods in RADARS:
        title = f"{name.partition('_')[0]}: {dataset}"
        draw(name, dataset, partial(_draw_radar, title, methods=methods), method=methods)
    return drawn


def _find_values(cells: Sequence[Cell], metric: str, ours: bool) -> dict[str, float]:
    """Return figures by method."""
    found = {cell.method: cell.ours if ours else cell.paper for cell in cells if cell.metric == metric}
    return {method: value for method, value in found.items() if value is not None}


# ------------------------------------------------------------------------------------------------------------ planes


def _draw_plane(plane: Plane, cells: Sequence[Cell]) -> Figure:
    figure = Figure(figsize=(6.2 * len(plane.perception), 5.4), layout="constrained")
    made = {cell.method for cell in cells if cell.state not in ("paper only", "not made")}
    for axes, metric in zip(np.atleast_1d(figure.subplots(1, len(plane.perception))), plane.perception, strict=True):
        texts: list[tuple[float, float, str, str]] = []
        for ours in (False, True):
            x, y = _find_values(cells, plane.distortion, ours), _find_values(cells, metric, ours)
            both = [method for method in x if method in y]
            _draw_points(axes, [(x[m], y[m]) for m in both], [m in made for m in both], ours)
            texts += [(x[m], y[m], m, OURS_COLOUR if ours else "black") for m in both]
            _join(axes, {m: (x[m], y[m]) for m in both}, plane.joined, ours)
        lower = next(cell.better for cell in cells if cell.metric == metric) == "lower"
        axes.set(xlabel=f"{plane.distortion} (dB), better to the right", ylabel=f"{metric}, better at the top")
        axes.grid(True, linewidth=0.4, alpha=0.5)
        axes.margins(0.16, 0.12)
        if lower:
            axes.invert_yaxis()
        if axes.get_legend_handles_labels()[0]:
            axes.legend(fontsize=7, loc="upper center", bbox_to_anchor=(0.5, -0.11), ncols=3, frameon=False)
        _place_labels(figure, axes, texts)
    figure.suptitle(f"{plane.table}: {plane.dataset}", fontsize=11)
    return figure


def _draw_points(axes: Axes, points: Sequence[tuple[float, float]], own: Sequence[bool], ours: bool) -> None:
    if ours and points:
        axes.plot(*zip(*points, strict=True), "*", color=OURS_COLOUR, markersize=13, label="made here", zorder=4)
    kinds = ((PAPER_COLOUR, False, "paper, other methods"), (TARGET_COLOUR, True, "paper, with an option file"))
    for colour, wanted, label in () if ours else kinds:
        chosen = [point for point, is_own in zip(points, own, strict=True) if is_own == wanted]
        if chosen:
            axes.plot(*zip(*chosen, strict=True), "o", color=colour, markersize=6, label=label, zorder=3)


def _join(axes: Axes, points: Mapping[str, tuple[float, float]], suffix: str, ours: bool) -> None:
    """Draw arrows from each method to the one with the suffix."""
    for method, start in points.items():
        end = points.get(f"{method}{suffix}") if suffix else None
        if end is not None:
            style = {"arrowstyle": "->", "color": OURS_COLOUR if ours else "#999999", "linewidth": 1.0, "shrinkB": 4}
            axes.annotate("", xy=end, xytext=start, arrowprops=style, zorder=2)


def _place_labels(figure: Figure, axes: Axes, texts: Sequence[tuple[float, float, str, str]]) -> None:
    """Write names beside points: for each the nearest of some places where it covers no point and no other name.

    All else is drawn already; `texts` are x, y, name and colour.
    """
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # fixes the layout, so that sizes in pixels are known
    renderer = canvas.get_renderer()
    centres: Any = axes.transData.transform([text[:2] for text in texts]) if texts else []
    taken = [Bbox.from_bounds(x - 8, y - 8, 16, 16) for x, y in centres]
    frame = axes.get_window_extent(renderer)
    places = [(ring * dx, ring * dy, ring > 1) for ring in _RINGS for dx, dy in _OFFSETS]
    for text in texts:
        best: tuple[int, Any, Bbox] | None = None
        for place in places:
            label = _label(axes, text, *place)
            box = _find_box(label, renderer)
            inside = box.x0 >= frame.x0 and box.x1 <= frame.x1 and box.y0 >= frame.y0 and box.y1 <= frame.y1
            clashes = sum(box.overlaps(other) for other in taken) + 3 * (not inside)
            if best is not None:
                (label if best[0] <= clashes else best[1]).remove()
            if best is None or clashes < best[0]:
                best = (clashes, label, box)
            if clashes == 0:
                break
        assert best is not None
        taken.append(best[2])


def _label(axes: Axes, text: tuple[float, float, str, str], dx: float, dy: float, line: bool) -> Any:
    """Return a name at so many points from its point, with a line to it where it is far."""
    x, y, name, colour = text
    label = axes.annotate(
        name, (x, y), (dx, dy), textcoords="offset points", fontsize=7.5, color=colour,
        arrowprops=_ARROW if line else None, path_effects=_HALO,
    )  # fmt: skip
    label.set_horizontalalignment("left" if dx > 0 else "right" if dx < 0 else "center")
    label.set_verticalalignment("bottom" if dy > 0 else "top" if dy < 0 else "center")
    return label


def _find_box(label: Any, renderer: Any) -> Bbox:
    """Return the text's own box, without that of the line to its point."""
    label.update_positions(renderer)
    return Text.get_window_extent(label, renderer).padded(1)


# --------------------------------------------------------------------------------------------------- bars and radars


def _draw_bars(title: str, cells: Sequence[Cell]) -> Figure:
    """Return horizontal bars of the paper's figures, best at the top; stars are ours."""
    metric = cells[0].metric
    paper, ours = _find_values(cells, metric, False), _find_values(cells, metric, True)
    order = sorted(paper, key=paper.__getitem__, reverse=cells[0].better == "lower")
    figure = Figure(figsize=(7, 1.2 + 0.19 * len(order)), layout="constrained")
    axes = figure.subplots()
    axes.barh(range(len(order)), [paper[name] for name in order], color="#9ecae1", label="paper", height=0.72)
    mine = [(ours[name], row) for row, name in enumerate(order) if name in ours]
    if mine:
        axes.plot(*zip(*mine, strict=True), "*", color=OURS_COLOUR, markersize=9, label="made here")
    every = [*paper.values(), *ours.values()]
    margin = 0.08 * (max(every) - min(every))
    axes.set_xlim(min(every) - margin, max(every) + margin)
    axes.set_yticks(range(len(order)), order, fontsize=7)
    axes.set_ylim(-0.7, len(order) - 0.3)
    axes.set(xlabel=f"{metric} (the axis does not start at 0)", title=title)
    axes.grid(True, axis="x", linewidth=0.4, alpha=0.5)
    axes.legend(fontsize=8, loc="lower right")
    return figure


def _draw_radar(title: str, cells: Sequence[Cell], methods: Sequence[str]) -> Figure:
    """Return a spoke per metric, from the worst (centre) to the best (rim) of the drawn methods; ours are dashed."""
    metrics = list(dict.fromkeys(cell.metric for cell in cells))
    series: dict[tuple[str, bool], np.ndarray] = {}
    for ours in (False, True):
        by_metric = [_find_values(cells, metric, ours) for metric in metrics]
        series |= {(name, ours): np.array([values.get(name, np.nan) for values in by_metric]) for name in methods}
    drawn = {key: line for key, line in series.items() if not np.isnan(line).any()}
    every = np.array(list(drawn.values()))
    low, high = every.min(0), every.max(0)
    figure = Figure(figsize=(8.2, 5.6))
    axes: Any = figure.add_axes((0.12, 0.13, 0.49, 0.7), projection="polar")
    angles = np.linspace(0, 2 * np.pi, len(metrics), endpoint=False)
    lower = np.array([next(cell.better for cell in cells if cell.metric == metric) == "lower" for metric in metrics])
    for (name, ours), line in drawn.items():
        share = (line - low) / np.where(high > low, high - low, 1)
        radius = 0.15 + 0.85 * np.where(lower, 1 - share, share)
        colour = f"C{list(methods).index(name)}"
        style = {"color": colour, "linestyle": "--" if ours else "-", "marker": "*" if ours else "."}
        label = f"{name}, made here" if ours else name
        axes.plot([*angles, angles[0]], [*radius, radius[0]], label=label, linewidth=1.4, **style)
    axes.set_xticks(angles, [""] * len(metrics))
    for angle, name, worst, best in zip(
        angles, metrics, np.where(lower, high, low), np.where(lower, low, high), strict=True
    ):
        side = "center" if abs(np.cos(angle)) < 0.3 else "left" if np.cos(angle) > 0 else "right"
        axes.text(angle, 1.14, f"{name}\n{worst:.4g} … {best:.4g}", ha=side, va="center", fontsize=7.5)
    axes.set_yticks([0.15, 0.575, 1.0], ["", "", ""])
    axes.set_ylim(0, 1.05)
    figure.suptitle(f"{title} (rim: best, centre: worst of these)", fontsize=10)
    axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.24, 0.5), frameon=False)
    return figure
