"""The demo: photographs to LMDB, two training stages, validation on photographs never seen, report and picture.

    python tools/demo.py

A second run reuses every step whose inputs are unchanged. Everything is written below datasets/demo, experiments/demo_*
and results/demo.
"""

from collections.abc import Sequence

from prismsr.tools.demonstration.command import run
from prismsr.utils.command_line import command, run_main


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo; exit code 0 done, that of the step that failed, or 130 stopped by Ctrl-C."""
    return command("demo.py", __doc__, lambda parser: None, run, argv)


if __name__ == "__main__":
    run_main(main)
