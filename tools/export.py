"""Export a trained network: a generator to ONNX, or what LGCAA trained to diffusers' layout.

    python tools/export.py onnx --model options/demo/compact_gan_ssl_x4.yml -o compact.onnx --dynamic
    python tools/export.py diffusers net -opt options/lgcaa/lgcaa_x4.yml -i NET_G.pth -o DIR
    python tools/export.py diffusers vae -opt options/demo/lgcaa_vae_tiny.yml -i FILE.pth --images DIR -o DIR

See docs/guide/inference.md and docs/guide/lgcaa_training.md.
"""

from collections.abc import Sequence

from prismsr.tools.inference.export_command import add_arguments, run
from prismsr.utils.command_line import command, run_main


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Returns:
        Exit code: 0 written, 1 it cannot be written, 2 wrong arguments or files, 130 stopped by Ctrl-C.
    """
    return command("export.py", __doc__, add_arguments, run, argv, stopped="stopped; what is there is not complete")


if __name__ == "__main__":
    run_main(main)
