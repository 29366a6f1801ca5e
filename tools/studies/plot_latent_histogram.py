"""Compare how the values of LR, SR and HR images are distributed, as figure 11 of the LGCAA paper does.

    python tools/studies/plot_latent_histogram.py --gt GT --sr results/RUN/visualization/RealSR --lq LR -o FILE.png

Of pixels, and with --vae (a folder in diffusers' layout, or a hub id) of latents, too. The legend has the Wasserstein-1
distance to GT. SR files may carry a suffix after GT's names.

Paper: LGCAA, figure 11.
"""

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import prismsr  # noqa: F401  (before basicsr)
from prismsr.archs.latent.options import StableDiffusionOptions
from prismsr.archs.latent.sampling.enlarged_image import enlarge
from prismsr.archs.latent.stable_diffusion import build_vae, encode_images, vae_factor
from prismsr.metrics.tensors import read_tensor
from prismsr.utils.command_line import command, run_main
from prismsr.utils.errors import OptionError
from prismsr.utils.files import write_figure

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Values = dict[str, NDArray[np.float32]]
BINS = 120
LEVELS = (np.arange(0, 257, 4) - 0.5) / 255
"""Edges of bins with four of 256 levels each; others would hold now one, now two."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--gt", type=Path, required=True, help="folder of HR images")
    parser.add_argument("--lq", type=Path, help="folder of LR images of the same names; enlarged bicubically")
    parser.add_argument("--sr", type=Path, action="append", default=[], help="folder of SR images; may be repeated")
    parser.add_argument("--vae", help="also compare latents of this VAE")
    parser.add_argument("-o", "--output", type=Path, required=True, help="PNG to write")


def run(args: argparse.Namespace) -> None:
    """Plot and print the distances."""
    images = read_all(args.gt, args.lq, args.sr)
    panels = {"pixels": {name: _flatten(tensors) for name, tensors in images.items()}}
    if args.vae:
        vae = build_vae(StableDiffusionOptions(path=None, vae_path=args.vae))
        panels["latents"] = {name: encode_values(vae, tensors) for name, tensors in images.items()}
    draw(panels, args.output)
    for panel, values in panels.items():
        for name, distance in measure_distances(values).items():
            print(f"{panel}: W1({name}, GT) = {distance:.4f}")


def read_all(gt: Path, lq: Path | None, sr: Sequence[Path]) -> dict[str, list[Tensor]]:
    """Read the images by kind, GT first, each (1, 3, H, W) in [0, 1] of GT's size.

    Raises:
        OptionError: a folder is empty, or an image has no partner or another size.
    """
    names = sorted(path.stem for path in gt.glob("*.png"))
    if not names:
        raise OptionError(f"--gt {gt}: no PNG in this folder")
    images = {"GT": [read_tensor(gt / f"{name}.png") for name in names]}
    sizes: list[Any] = [image.shape[-2:] for image in images["GT"]]
    if lq is not None:
        small = [read_tensor(_find_partner(lq, name)) for name in names]
        images["LR"] = [enlarge(image, size) for image, size in zip(small, sizes, strict=True)]
    for folder in sr:
        images[folder.name] = found = [read_tensor(_find_partner(folder, name)) for name in names]
        wrong = [name for name, image, size in zip(names, found, sizes, strict=True) if image.shape[-2:] != size]
        if wrong:
            raise OptionError(f"--sr {folder}: {wrong[0]} has another size than GT's")
    return images


def _find_partner(folder: Path, name: str) -> Path:
    found = sorted(folder.glob(f"{name}.png")) or sorted(folder.glob(f"{name}_*.png"))
    if not found:
        raise OptionError(f"{folder}: no image of {name}")
    return found[0]


def _flatten(tensors: Sequence[Tensor]) -> NDArray[np.float32]:
    return torch.cat([tensor.flatten() for tensor in tensors]).numpy()


@torch.no_grad()
def encode_values(vae: Any, images: Sequence[Tensor]) -> NDArray[np.float32]:
    """Return all values of the images' scaled latents; sides are cut to multiples of the VAE's factor."""
    factor = vae_factor(vae)
    cut = [image[..., : image.shape[2] // factor * factor, : image.shape[3] // factor * factor] for image in images]
    return _flatten([encode_images(vae, image, sample=False) for image in cut])


def measure_distances(values: Values) -> dict[str, float]:
    """Return the Wasserstein-1 distance to GT's values, of equally many, by sorting; without GT itself."""
    gt = np.sort(values["GT"])
    return {name: float(np.abs(np.sort(own) - gt).mean()) for name, own in values.items() if name != "GT"}


def draw(panels: dict[str, Values], output: Path) -> None:
    """Draw one panel of lines for each kind of values."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.5 * len(panels), 3.8), layout="constrained")
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for axis, (title, values) in zip(axes, panels.items(), strict=True):
        edges = LEVELS
        if title != "pixels":
            low, high = np.quantile(np.concatenate(list(values.values())), (0.001, 0.999))
            edges = np.linspace(low, high, BINS + 1)
        labels = {name: f"{name}, W1 {distance:.4f}" for name, distance in measure_distances(values).items()}
        for name, own in values.items():
            heights = np.histogram(own, edges, density=True)[0]
            axis.plot((edges[1:] + edges[:-1]) / 2, heights, label=labels.get(name, name), linewidth=1.4)
        axis.set(title=title, xlabel="value", ylabel="density", ylim=(0, None))
        axis.legend(frameon=False)
        axis.grid(alpha=0.25)
    write_figure(output, figure, 130)


main = partial(command, "plot_latent_histogram.py", __doc__, add_arguments, run, stopped="stopped")

if __name__ == "__main__":
    run_main(main)
