"""Measure how fast parts of PRISM-SR are on this machine: `python tools/benchmark.py NAME`, see --help for the names.

Every measurement runs in a process of its own, so that peak memory is its own too. Times are the best of several runs.
"""

from functools import partial

from prismsr.tools.benchmarks.command import add_arguments, describe, run
from prismsr.utils.command_line import command, run_main

main = partial(command, "benchmark.py", describe(), add_arguments, run, stopped="stopped")

if __name__ == "__main__":
    run_main(main)
