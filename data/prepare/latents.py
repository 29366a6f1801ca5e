"""Encode GT images by Stable Diffusion's VAE once, for trainings without augmentation."""

import argparse
import io
from pathlib import Path
from typing import Any

from prismsr.data.prepare.common import claim_step, find_inputs, print_result
from prismsr.utils.errors import DataError
from prismsr.utils.files import atomic_write
from prismsr.utils.images import read_image

import numpy as np
from tqdm import tqdm


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line of the step."""
    parser.add_argument("-i", "--input", type=Path, required=True, help="folder of GT images, all of the crops' size")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of latents, one .npy per image")
    parser.add_argument("--vae", help="folder in diffusers' layout or hub id (default: network_g.base.path's, SD 2)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 ... (default: %(default)s)")
    parser.add_argument("--overwrite", action="store_true", help="remove what an earlier run made there")


def run(args: argparse.Namespace) -> int:
    """Write mean and log variance of each image's posterior, (8, H / 8, W / 8) float16; what is there is kept."""
    from prismsr.archs.latent.options import StableDiffusionOptions
    from prismsr.archs.latent.stable_diffusion import build_vae
    from prismsr.utils.devices import find_device

    device = find_device(args.device)
    images = find_inputs(args.input, args.output)
    source = args.vae or StableDiffusionOptions().path
    vae = build_vae(StableDiffusionOptions(path=None, vae_path=source)).to(device)
    claim_step(args, "latents", {"vae": source})
    for key, path in tqdm(images.items(), desc="latents", unit="image"):
        target = args.output / f"{key}.npy"
        if not target.exists():
            file = io.BytesIO()
            np.save(file, encode_latents(vae, path))
            atomic_write(target, file.getvalue())
    print_result("latents", args.output, [1] * len(images), [])
    return 0


def encode_latents(vae: Any, path: Path) -> np.ndarray:
    """Return an image's posterior (8, H / 8, W / 8) float16; DataError where the VAE's factor does not divide it."""
    from prismsr.archs.latent.stable_diffusion import posterior_moments, vae_factor

    import torch

    image = read_image(path)
    height, width = image.shape[:2]
    factor = vae_factor(vae)
    if image.ndim != 3 or height % factor or width % factor:
        raise DataError(f"{path}: {height} x {width} pixels; wanted: RGB with sides that {factor} divides")
    planes = np.ascontiguousarray(image[..., 2::-1].transpose(2, 0, 1), np.float32) / np.iinfo(image.dtype).max
    with torch.no_grad():
        moments = posterior_moments(vae, torch.from_numpy(planes)[None].to(vae.device))[0]
    half = moments.float().clamp(-6e4, 6e4).cpu().numpy().astype(np.float16)
    if not np.isfinite(half).all():
        raise DataError(f"{path}: its latents are not finite")
    return half
