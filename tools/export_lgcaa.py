"""Export what LGCAA trained to a folder in diffusers' layout.

python tools/export_lgcaa.py net -opt options/lgcaa/lgcaa_x4.yml -i experiments/lgcaa_x4/models/net_g_latest.pth -o DIR
python tools/export_lgcaa.py vae -opt options/demo/lgcaa_vae_tiny.yml -i FILE.pth --images datasets/demo/val/HR -o DIR
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import prismsr  # noqa: F401  (before basicsr)
from prismsr.archs.lgcaa.checkpoint import require_same_options
from prismsr.tools.inference.diffusers_export import export_network, export_vae
from prismsr.utils.command_line import fail, run_main
from prismsr.utils.errors import OptionError, UserError
from prismsr.utils.images import read_tensor
from prismsr.utils.options.files import load_options
from prismsr.utils.weights.files import network_weights, require_fit

import torch
from basicsr.archs import build_network

TYPES = {"net": "LGCAANet", "vae": "ImageAutoencoder"}


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="export_lgcaa.py", description=str(__doc__).split("\n", maxsplit=1)[0])
    parser.add_argument("what", choices=[*TYPES], help="the whole network, or the demo's small VAE")
    parser.add_argument("-opt", type=Path, required=True, help="option file with the network_g that was trained")
    parser.add_argument("-i", "--input", type=Path, required=True, help="net_g_*.pth")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder to write")
    parser.add_argument("--param_key", default="params_ema", help="params or params_ema (default: %(default)s)")
    parser.add_argument("--images", type=Path, help="vae: folder of images that the scaling factor is measured on")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Export; exit code 0, 1 where the folder cannot be written, 2 where the arguments are wrong."""
    args = build_parser().parse_args(argv)
    try:
        _export(args)
    except UserError as error:
        return fail("export_lgcaa.py", error, 2)
    except OSError as error:
        return fail("export_lgcaa.py", f"{args.output} cannot be written ({error})", 1)
    return 0


def _export(args: argparse.Namespace) -> None:
    entry = load_options(args.opt).get("network_g") or {}
    if entry.get("type") != TYPES[args.what]:
        raise OptionError(f"{args.opt}: network_g is of type {entry.get('type')}; {TYPES[args.what]} is wanted")
    state, _ = network_weights(args.input, args.param_key)
    net = build_network(entry)
    require_same_options(net, args.input, strict=True)
    require_fit(net, state, args.input)
    net.load_state_dict(state)
    if args.what == "net":
        export_network(net, args.output)
    else:
        if args.images is None:
            raise OptionError("--images is required with vae: the scaling factor is measured on them")
        print(f"scaling_factor {export_vae(net.vae, _images(args.images, net.vae), args.output):.5f}")
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


if __name__ == "__main__":
    run_main(main)
