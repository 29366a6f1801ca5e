"""The demo: photographs to LMDB, two training stages, validation on photographs never seen, report and picture.

    python tools/demo.py

A second run reuses every step whose inputs are unchanged. Everything is written below datasets/demo, experiments/demo_*
and results/demo.
"""

from functools import partial

from prismsr.tools.demonstration.command import run
from prismsr.utils.command_line import command, run_main

main = partial(command, "demo.py", __doc__, lambda parser: None, run)

if __name__ == "__main__":
    run_main(main)
