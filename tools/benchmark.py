"""Measure how fast parts of PRISM-SR are on this machine: `python tools/benchmark.py NAME`, see --help for the names.

Every measurement runs in a process of its own, so that peak memory is its own too. Times are the best of several runs.
"""

from collections.abc import Sequence

from prismsr.tools.benchmarks.command import add_arguments, describe, run
from prismsr.utils.command_line import command, run_main


def main(argv: Sequence[str] | None = None) -> int:
    """Run a benchmark; exit code 0 done, 1 failed, 2 wrong arguments."""
    return command("benchmark.py", describe(), add_arguments, run, argv, stopped="stopped")


if __name__ == "__main__":
    run_main(main)
