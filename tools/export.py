"""Export a trained network: a generator to ONNX, or what LGCAA trained to diffusers' layout.

    python tools/export.py onnx --model options/demo/gan_ssl_x4.yml -o demo.onnx --dynamic
    python tools/export.py diffusers net -opt options/lgcaa/lgcaa_x4.yml -i NET_G.pth -o DIR
    python tools/export.py diffusers vae -opt options/demo/lgcaa_vae_tiny.yml -i FILE.pth --images DIR -o DIR

See docs/guide/inference.md and docs/guide/lgcaa_training.md.
"""

from functools import partial

from prismsr.tools.inference.export_command import add_arguments, run
from prismsr.utils.command_line import command, run_main

main = partial(command, "export.py", __doc__, add_arguments, run, stopped="stopped; what is there is not complete")

if __name__ == "__main__":
    run_main(main)
