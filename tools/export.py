"""Export a trained network: a generator to ONNX, or what LGCAA trained to diffusers' layout.

    python tools/export.py onnx --model options/demo/gan_ssl_x4.yml -o demo.onnx --dynamic
    python tools/export.py diffusers net -opt options/lgcaa/lgcaa_x4.yml -i NET_G.pth -o DIR
    python tools/export.py diffusers vae -opt options/demo/lgcaa_vae_tiny.yml -i FILE.pth --images DIR -o DIR

See docs/guide/inference.md and docs/guide/lgcaa_training.md.
"""

import argparse
from functools import partial
from pathlib import Path

from prismsr.tools.inference.command import add_model_arguments
from prismsr.utils.command_line import ROOT, command, run_main, whole_number


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
    add("what", choices=["net", "vae"], help="the whole network, or the demo's small VAE")
    add("-opt", type=Path, required=True, help="option file with the network_g that was trained")
    add("-i", "--input", type=Path, required=True, help="net_g_*.pth")
    add("-o", "--output", type=Path, required=True, help="folder to write")
    keys = ["params_ema", "params"]
    add("--param_key", choices=keys, default=keys[0], help="network of the file, where it has it (%(default)s)")
    add("--images", type=Path, help="vae: folder of images that the scaling factor is measured on")


def run(args: argparse.Namespace) -> None:
    """Export a generator and compare the file with torch, or export what LGCAA trained."""
    if args.kind == "diffusers":
        from prismsr.tools.inference.diffusers_export import export_trained

        export_trained(args.what, args.opt, args.input, args.output, args.param_key, args.images)
        return
    from prismsr.tools.inference.generator import load_generator
    from prismsr.tools.inference.onnx_export import export_onnx

    generator = load_generator(args.model, args.weights, args.param_key, "cpu", root=ROOT)
    print(export_onnx(generator, args.output, dynamic=args.dynamic, size=args.size))


main = partial(command, "export.py", __doc__, add_arguments, run, stopped="stopped; what is there is not complete")

if __name__ == "__main__":
    run_main(main)
