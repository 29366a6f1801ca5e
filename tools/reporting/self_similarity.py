"""How far an image's self-similarity is from its ground truth's, as a metric and as a map for the demo's report.

Paper: SSL, eq. 4.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from prismsr.losses.edges import edge_mask
from prismsr.losses.self_similarity.self_similarity_loss import self_similarity_graph, self_similarity_loss
from prismsr.metrics.tensors import make_metric_tensor
from prismsr.tools.reporting.demonstrations import Demonstration
from prismsr.tools.reporting.images import GT, read_images
from prismsr.utils.files import write_figure

import numpy as np
import torch
from basicsr.utils.registry import METRIC_REGISTRY
from matplotlib.figure import Figure
from numpy.typing import NDArray


@METRIC_REGISTRY.register()
@torch.no_grad()
def calculate_self_similarity(img: NDArray[Any], img2: NDArray[Any], crop_border: int = 0, **kwargs: Any) -> float:
    """Return 1000 times the self-similarity loss at a third of the edge pixels of the ground truth: 0 for equal images.

    Args:
        img: BGR image in [0, 255], (H, W, 3).
        img2: ground truth of the same shape.
        crop_border: pixels left out at each edge.
        kwargs: ignored (BasicSR hands every metric the same arguments).

    Raises:
        ValueError: shapes differ, or an image is smaller than the search area.
    """
    sr, gt = (make_metric_tensor(image, crop_border=crop_border) for image in (img, img2))
    return 1000 * self_similarity_loss(sr, gt, mask_stride=3).item()


calculate_self_similarity.better = "lower"


def map_graph_errors(images: Sequence[NDArray[Any]], img2: NDArray[Any]) -> list[NDArray[np.float64]]:
    """Return how far each image's self-similarity graph of each edge pixel of the ground truth is from the latter's.

    A graph's values have the sum 1. The error is half the sum of their differences' magnitudes: 0 for equal graphs, 1
    where they have nothing in common.

    Args:
        images: BGR images in [0, 255], (H, W, 3).
        img2: ground truth of the same shape.

    Returns:
        (H, W) of each image, NaN where there is no edge.
    """
    gt = make_metric_tensor(img2)
    mask = edge_mask(gt)
    (wanted,) = self_similarity_graph(gt, mask)
    errors = []
    for image in images:
        (graph,) = self_similarity_graph(make_metric_tensor(image), mask)
        errors.append(np.full(mask.shape[2:], np.nan))
        errors[-1][mask[0, 0].numpy()] = (graph - wanted).abs().sum(dim=1).double() / 2
    return errors


def draw_graph_errors(out: Path, repository: Path, shown: Demonstration) -> list[tuple[str, Path, str]]:
    """Draw the error of the self-similarity graph of both rivals; see `Demonstration.extras`."""
    assert shown.rivals is not None
    titles = [shown.titles[name] for name in shown.rivals]
    found = read_images(out / "evaluation", dict(zip(shown.rivals, titles, strict=True)), repository)
    maps = {name: map_graph_errors([image[title] for title in titles], image[GT]) for name, image in found.items()}
    first, second = (np.concatenate([pair[number].ravel() for pair in maps.values()]) for number in (0, 1))
    nearer = np.mean(second[~np.isnan(second)] < first[~np.isnan(first)])
    path = out / "graph_errors.png"
    _draw_maps(path, {name: image[GT] for name, image in found.items()}, maps, titles)
    sentence = (
        f"At {nearer:.0%} of the edge pixels the self-similarity graph of {titles[1]} is nearer to GT's than that of "
        f"{titles[0]}. The mean error is {np.nanmean(second):.4f} beside {np.nanmean(first):.4f} "
        "(0: equal, 1: nothing in common). Blue: nearer, red: farther."
    )
    return [("Error of the self-similarity graph at edges", path, sentence)]


def _draw_maps(
    path: Path,
    truths: Mapping[str, NDArray[Any]],
    maps: Mapping[str, Sequence[NDArray[np.float64]]],
    titles: Sequence[str],
) -> None:
    """Draw a row for each image: GT, both errors, and the second minus the first."""
    figure = Figure(figsize=(11, 2.3 * len(maps)), dpi=90, layout="constrained")
    rows = figure.subplots(len(maps), 4, squeeze=False)
    for row, (name, pair) in zip(rows, maps.items(), strict=True):
        row[0].imshow(truths[name][..., ::-1])
        first, second = map(average_blocks, pair)
        for axes, error in ((row[1], first), (row[2], second)):
            drawn = axes.imshow(error, cmap="magma", vmin=0, vmax=1)
        change = row[3].imshow(second - first, cmap="RdBu_r", vmin=-0.2, vmax=0.2)
        figure.colorbar(drawn, ax=row[2])
        figure.colorbar(change, ax=row[3])
        for axes, title in zip(row, [f"{name}, GT", *titles, f"{titles[1]} minus {titles[0]}"], strict=True):
            axes.set_title(title, fontsize=9)
            axes.set_axis_off()
    write_figure(path, figure)


def average_blocks(values: NDArray[np.float64], side: int = 8) -> NDArray[np.float64]:
    """Return the mean of each block of `side` x `side` pixels, NaN left out; NaN where a block has nothing else.

    Example:
        >>> average_blocks(np.array([[1.0, 3.0], [np.nan, 2.0]]), 2)
        array([[2.]])
    """
    height, width = (length // side for length in values.shape)
    blocks = values[: height * side, : width * side].reshape(height, side, width, side)
    counts = (~np.isnan(blocks)).sum(axis=(1, 3))
    return np.where(counts > 0, np.nansum(blocks, axis=(1, 3)) / np.maximum(counts, 1), np.nan)
