"""Show what decoding in tiles does to an image: whole, each tile with its own norms, and with norms of all tiles.

    python tools/studies/compare_vae_tiles.py --vae sd2 -i PHOTO.png -o tiles.png

Prints how far tiles are from the whole, and writes a picture: above the images, below eight times their difference from
the whole one.
"""

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import prismsr  # noqa: F401  (before basicsr)
from prismsr.archs.latent.options import StableDiffusionOptions, parse_section
from prismsr.archs.latent.sampling.options import LatentSampling
from prismsr.archs.latent.sampling.vae_tiles import decode_tiled
from prismsr.archs.latent.stable_diffusion import build_vae, encode_images, vae_factor
from prismsr.metrics.tensors import read_tensor
from prismsr.utils.command_line import command, run_main
from prismsr.utils.errors import OptionError
from prismsr.utils.files import write_figure

import torch
from torch import Tensor
from torch.nn import functional as F

DEFAULTS = LatentSampling()
TONE = 32
"""Side in pixels of the squares whose mean differences are told."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add = parser.add_argument
    add("--vae", required=True, help="a folder in diffusers' layout, or a hub id")
    add("-i", "--input", type=Path, required=True, help="image")
    add("-o", "--output", type=Path, required=True, help="PNG to write")
    add("--tile", type=int, default=DEFAULTS.vae_tile, help="in latents (default: %(default)s)")
    add("--overlap", type=int, help=f"in latents (default: {DEFAULTS.vae_overlap}, or half a small tile)")
    stages = [0, DEFAULTS.vae_norm_stages]
    add("--stages", type=int, nargs="+", default=stages, help="values of vae_norm_stages (default: %(default)s)")


def run(args: argparse.Namespace) -> None:
    """Compare and print the distances."""
    sizes = {"vae_tile": args.tile, **({} if args.overlap is None else {"vae_overlap": args.overlap})}
    options = [parse_section(LatentSampling, {**sizes, "vae_norm_stages": n}, "tiles") for n in args.stages]
    vae = build_vae(StableDiffusionOptions(path=None, vae_path=args.vae))
    results = decode_all(vae, _read(args.input, vae_factor(vae)), options)
    draw(results, args.output)
    for name, image in results.items():
        if name != "whole":
            print(f"{name}: {describe_difference(image, results['whole'])}")


def _read(path: Path, factor: int) -> Tensor:
    image = read_tensor(path)
    height, width = (side // factor * factor for side in image.shape[-2:])
    return image[..., :height, :width]


@torch.no_grad()
def decode_all(vae: Any, image: Tensor, options: Sequence[LatentSampling]) -> dict[str, Tensor]:
    """Return the decoded latents of an image (1, 3, H, W) in [0, 1], by name: "whole" first, then as each option says.

    An image that is not larger than a tile is an OptionError.
    """
    latents = encode_images(vae, image, sample=False)
    if options[0].vae_tile >= max(latents.shape[-2:]) or options[0].vae_tile == 0:
        raise OptionError(
            f"--tile {options[0].vae_tile}: the image is one tile, {latents.shape[-2]} x {latents.shape[-1]} latents; "
            "take a smaller tile or a larger image"
        )
    results = {"whole": decode_tiled(vae, latents, LatentSampling(vae_tile=0, vae_overlap=0))}
    for option in options:
        stages = option.vae_norm_stages
        results[f"{stages} stages" if stages else "each tile's norms"] = decode_tiled(vae, latents, option)
    return results


def describe_difference(image: Tensor, whole: Tensor) -> str:
    """Return the distance of two images (1, 3, H, W) in words."""
    error = image - whole
    psnr = -10 * float(error.square().mean().clamp(min=1e-12).log10())
    tone = 255 * float(F.avg_pool2d(error, min(TONE, *error.shape[-2:])).abs().max())
    return f"{psnr:.1f} dB beside the whole; means of {TONE} x {TONE} pixels differ by up to {tone:.1f} of 255"


def draw(results: dict[str, Tensor], output: Path) -> None:
    """Draw images above, differences from the first below."""
    from matplotlib.figure import Figure

    whole = results["whole"]
    height, width = whole.shape[-2:]
    figure = Figure(figsize=(4 * len(results), 8 * height / width + 0.5), layout="constrained")
    axes = figure.subplots(2, len(results), squeeze=False)
    for column, (name, image) in enumerate(results.items()):
        for axis, shown in zip(axes[:, column], (image, 0.5 + 8 * (image - whole)), strict=True):
            axis.imshow(shown[0].clamp(0, 1).permute(1, 2, 0).numpy(), interpolation="nearest")
            axis.set_axis_off()
        axes[0, column].set_title(name)
    write_figure(output, figure, width / 3.7)  # about a pixel for a pixel


main = partial(command, "compare_vae_tiles.py", __doc__, add_arguments, run, stopped="stopped")

if __name__ == "__main__":
    run_main(main)
