"""The demo: photographs to LMDB, training stages, validation on photographs never seen, report and picture.

    python tools/demo.py              # a small generator: L1, then GAN without and with the self-similarity loss
    python tools/demo.py diffir       # or another method of --help: small, with and without what it is about

A second run reuses every step whose inputs are unchanged. Everything is written below datasets/demo, experiments/demo_*
and results/demo, results/demo_METHOD.
"""

from functools import partial

from prismsr.tools.demonstration.command import add_arguments, run
from prismsr.utils.command_line import command, run_main

main = partial(command, "demo.py", __doc__, add_arguments, run)

if __name__ == "__main__":
    run_main(main)
