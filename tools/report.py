"""One HTML page of results: tables, training curves, and crops of the methods with a slider between two of them.

    python tools/report.py results/evaluation -o report.html
    python tools/report.py results/reproduce --experiments experiments --methods l1=L1 "gan_ssl=GAN + SSL"
    python tools/report.py --watch experiments/NAME

RESULTS is searched for what tools/evaluate.py and tools/reproduce.py write. The page has no external files.
docs/guide/report.md tells more.
"""

from functools import partial

from prismsr.tools.reporting.command import add_arguments, run
from prismsr.utils.command_line import command, run_main

main = partial(command, "report.py", __doc__, add_arguments, run, stopped="stopped; no page was written")

if __name__ == "__main__":
    run_main(main)
