"""What SFD's Feat-D says of each place of an image, as a map for the demo's report.

Paper: SFD, eq. 8.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prismsr.archs.clip.clip_arch import Clip
from prismsr.archs.feat_d_arch import FeatD
from prismsr.metrics.tensors import make_metric_tensor
from prismsr.tools.reporting.demonstrations import Demonstration
from prismsr.tools.reporting.images import GT, read_images
from prismsr.utils.files import write_figure
from prismsr.utils.options.files import load_options
from prismsr.utils.weights.files import load_strictly, network_weights

import numpy as np
import torch
from basicsr.archs import build_network
from matplotlib.figure import Figure
from numpy.typing import NDArray


@torch.no_grad()
def map_logits(clip: Clip, feat_d: FeatD, img: NDArray[Any]) -> NDArray[np.float32]:
    """Return Feat-D's logit of each place, positive where it takes the image for a real one.

    Args:
        clip: whose middle features are judged.
        feat_d: the discriminator, in evaluation mode.
        img: BGR image in [0, 255], (H, W, 3).

    Returns:
        (h, w), as many places as `output_stride` makes.
    """
    features = clip.image(make_metric_tensor(img).float(), final=False)
    logits: NDArray[np.float32] = feat_d(features)[0, 0].numpy()
    return logits


def draw_feature_maps(out: Path, repository: Path, shown: Demonstration) -> list[tuple[str, Path, str]]:
    """Draw the logits of the second rival's Feat-D on its images and on GT; see `Demonstration.extras`."""
    assert shown.rivals is not None
    name = shown.rivals[1]
    title = shown.titles[name]
    clip, feat_d = load_judge(repository, repository / "options" / "demo" / shown.shown[name])
    pairs = read_images(out / "evaluation", {name: title}, repository)
    maps = {
        image: {kind: map_logits(clip, feat_d, pixels) for kind, pixels in pair.items()}
        for image, pair in pairs.items()
    }
    path = out / "feature_maps.png"
    _draw(path, pairs, maps)
    return [("Feat-D's map", path, describe_maps(maps, title))]


def load_judge(repository: Path, option_file: Path) -> tuple[Clip, FeatD]:
    """Return the frozen encoder and the Feat-D that a training of the option file has left."""
    options = load_options(option_file)
    feat_d: FeatD = build_network(dict(options["network_d_feat"]))
    path = repository / "experiments" / options["name"] / "models" / "net_d_feat_latest.pth"
    load_strictly(feat_d, network_weights(path, None)[0], path)
    return Clip(**options["clip"]), feat_d.eval()


def describe_maps(maps: Mapping[str, Mapping[str, NDArray[np.float32]]], title: str) -> str:
    """Say how Feat-D's logits on GT lie to those on the images of a method.

    Example:
        >>> maps = {"cat": {"SFD": np.array([[-1.0, 0.5]]), "GT": np.array([[1.0, 0.0]])}}
        >>> describe_maps(maps, "SFD").split(". ")[0]
        'Feat-D gives GT the higher logit at 50% of the places'
    """
    sr, gt = (np.concatenate([pair[kind].ravel() for pair in maps.values()]) for kind in (title, GT))
    return (
        f"Feat-D gives GT the higher logit at {np.mean(gt > sr):.0%} of the places. The mean is {gt.mean():.2f} on GT "
        f"and {sr.mean():.2f} on {title} (positive: it takes the place for real). Blue: real, red: generated."
    )


def _draw(
    path: Path,
    images: Mapping[str, Mapping[str, NDArray[Any]]],
    maps: Mapping[str, Mapping[str, NDArray[np.float32]]],
) -> None:
    """Draw a row for each image: a method's, its map, GT, its map, on one scale of colours."""
    bound = float(
        np.quantile(np.abs(np.concatenate([one.ravel() for pair in maps.values() for one in pair.values()])), 0.98)
    )
    figure = Figure(figsize=(11, 2.7 * len(maps)), dpi=90, layout="constrained")
    rows = figure.subplots(len(maps), 4, squeeze=False)
    for row, (image, pair) in zip(rows, maps.items(), strict=True):
        for place, (kind, logits) in enumerate(pair.items()):
            row[2 * place].imshow(images[image][kind][..., ::-1])
            drawn = row[2 * place + 1].imshow(logits, cmap="RdBu", vmin=-bound, vmax=bound)
            row[2 * place].set_title(f"{image}, {kind}", fontsize=9)
            row[2 * place + 1].set_title(f"Feat-D's logits on {kind}", fontsize=9)
        for axes in row:
            axes.set_axis_off()
        figure.colorbar(drawn, ax=row[3])
    write_figure(path, figure)
