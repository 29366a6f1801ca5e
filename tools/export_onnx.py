"""Export a generator to ONNX and check the file against torch. See docs/guide/inference.md.

python tools/export_onnx.py --model options/demo/compact_gan_ssl_x4.yml -o compact.onnx --dynamic
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from prismsr.tools.infer import ROOT, add_model_arguments
from prismsr.tools.inference.generator import load_generator
from prismsr.tools.inference.onnx_export import export_onnx
from prismsr.utils.command_line import fail, run_main, whole_number
from prismsr.utils.errors import UserError


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool; exit code 0 written and checked, 2 not."""
    parser = argparse.ArgumentParser(
        prog="export_onnx.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_model_arguments(parser)
    parser.add_argument("-o", "--output", type=Path, required=True, help="the .onnx file")
    parser.add_argument("--dynamic", action="store_true", help="images of any size, instead of --size")
    parser.add_argument("--size", type=whole_number(8), default=64, help="side of the traced image (%(default)s)")
    args = parser.parse_args(argv)
    try:
        generator = load_generator(args.model, args.weights, args.param_key, "cpu", root=ROOT)
        print(export_onnx(generator, args.output, dynamic=args.dynamic, size=args.size))
    except UserError as error:
        return fail("export_onnx.py", error, 2)
    return 0


if __name__ == "__main__":
    run_main(main)
