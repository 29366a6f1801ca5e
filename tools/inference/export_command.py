"""Arguments and run of tools/export.py."""

import argparse
from pathlib import Path
from typing import Any

from prismsr.archs.lgcaa.checkpoint import require_same_options
from prismsr.tools.inference.command import add_model_arguments
from prismsr.tools.inference.diffusers_export import export_network, export_vae
from prismsr.tools.inference.generator import load_generator
from prismsr.tools.inference.onnx_export import export_onnx
from prismsr.utils.command_line import ROOT, whole_number
from prismsr.utils.errors import JobError, OptionError
from prismsr.utils.images import read_tensor
from prismsr.utils.options.files import load_options
from prismsr.utils.weights.files import network_weights, require_fit

import torch
from basicsr.archs import build_network

TYPES = {"net": "LGCAANet", "vae": "ImageAutoencoder"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the kinds of export, each with its arguments."""
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="KIND")
    onnx = kinds.add_parser("onnx", help="a generator to an ONNX file, checked against torch")
    add_model_arguments(onnx)
    onnx.add_argument("-o", "--output", type=Path, required=True, help="the .onnx file")
    onnx.add_argument("--dynamic", action="store_true", help="images of any size, instead of --size")
    onnx.add_argument("--size", type=whole_number(8), default=64, help="side of the traced image (%(default)s)")
    diffusers = kinds.add_parser("diffusers", help="what LGCAA trained to a folder in diffusers' layout")
    add = diffusers.add_argument
    add("what", choices=[*TYPES], help="the whole network, or the demo's small VAE")
    add("-opt", type=Path, required=True, help="option file with the network_g that was trained")
    add("-i", "--input", type=Path, required=True, help="net_g_*.pth")
    add("-o", "--output", type=Path, required=True, help="folder to write")
    add("--param_key", default="params_ema", help="params or params_ema (default: %(default)s)")
    add("--images", type=Path, help="vae: folder of images that the scaling factor is measured on")


def run(args: argparse.Namespace) -> None:
    """Export."""
    {"onnx": run_onnx, "diffusers": run_diffusers}[args.kind](args)


def run_onnx(args: argparse.Namespace) -> None:
    """Export a generator and compare the file with torch."""
    generator = load_generator(args.model, args.weights, args.param_key, "cpu", root=ROOT)
    print(export_onnx(generator, args.output, dynamic=args.dynamic, size=args.size))


def run_diffusers(args: argparse.Namespace) -> None:
    """Load the trained network into its arch and write it as diffusers does."""
    entry = load_options(args.opt).get("network_g") or {}
    if entry.get("type") != TYPES[args.what]:
        raise OptionError(f"{args.opt}: network_g is of type {entry.get('type')}; {TYPES[args.what]} is wanted")
    state, _ = network_weights(args.input, args.param_key)
    net = build_network(entry)
    require_same_options(net, args.input, strict=True)
    require_fit(net, state, args.input)
    net.load_state_dict(state)
    if args.what == "vae" and args.images is None:
        raise OptionError("--images is required with vae: the scaling factor is measured on them")
    try:
        if args.what == "net":
            export_network(net, args.output)
        else:
            print(f"scaling_factor {export_vae(net.vae, _images(args.images, net.vae), args.output):.5f}")
    except OSError as error:
        raise JobError(f"{args.output} cannot be written ({error})") from error
    print(f"written to {args.output}")


def _images(folder: Path, vae: Any) -> list[torch.Tensor]:
    factor = 2 ** (len(vae.config.block_out_channels) - 1)
    images = []
    for path in sorted(folder.glob("*.png")):
        image = read_tensor(path)
        height, width = (side - side % factor for side in image.shape[-2:])
        images.append(image[..., :height, :width])
    if not images:
        raise OptionError(f"--images {folder}: no PNG in this folder")
    return images
