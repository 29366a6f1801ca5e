"""Encode the empty prompt once by Stable Diffusion 2's text encoder: the context of StableSR's UNet."""

import argparse
from pathlib import Path

from prismsr.utils.errors import OptionError
from prismsr.utils.files import atomic_write


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line of the step."""
    parser.add_argument("-i", "--input", type=Path, required=True, help="folder text_encoder of SD 2 or 2.1")
    parser.add_argument("-o", "--output", type=Path, required=True, help="file to write, .safetensors")
    parser.add_argument("--overwrite", action="store_true", help="replace the output file")


def run(args: argparse.Namespace) -> int:
    """Write the context, (77, 1024) float32; network_g.context of a StableSRNet names the file."""
    from prismsr.archs.stablesr.empty_prompt import CONTEXT, encode_empty_prompt

    from safetensors.torch import save

    if args.output.suffix != ".safetensors":
        raise OptionError(f"-o {args.output}: must end in .safetensors")
    if args.output.exists() and not args.overwrite:
        raise OptionError(f"-o {args.output}: is there already; --overwrite replaces it")
    context = encode_empty_prompt(args.input)
    atomic_write(args.output, save({CONTEXT: context}))
    print(f"prompt: {' x '.join(map(str, context.shape))} numbers written to {args.output}")
    return 0
