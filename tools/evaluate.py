"""Score a folder of SR images, by a paper's protocol or by metrics of your choice.

    python tools/evaluate.py --sr results/x/Set5 --gt datasets/testsets/Set5/GT --protocol ssl
    python tools/evaluate.py --sr results/x/Set5 --gt datasets/testsets/Set5/GT --metrics psnr ssim lpips-st --y
    python tools/evaluate.py --protocol amo --explain

Scores are kept as they are made: after Ctrl-C the same command goes on where it stopped. docs/guide/evaluation.md tells
what each protocol does.
"""

from functools import partial

from prismsr.tools.evaluation.command import add_arguments, run
from prismsr.utils.command_line import command, run_main

main = partial(command, "evaluate.py", __doc__, add_arguments, run)

if __name__ == "__main__":
    run_main(main)
