"""Super-resolve images: any option file with its checkpoint, or any weights that spandrel knows.

See docs/guide/inference.md.

    python tools/infer.py --model options/demo/gan_ssl_x4.yml -i photos -o results/photos
    python tools/infer.py --model RealESRGAN_x4plus.pth -i photo.jpg -o large.png --precision fp16

The same command again goes on where it was stopped.
"""

from functools import partial

from prismsr.tools.inference.command import add_arguments, run
from prismsr.utils.command_line import command, run_main

main = partial(command, "infer.py", __doc__, add_arguments, run)

if __name__ == "__main__":
    run_main(main)
