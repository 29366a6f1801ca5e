"""The tables of the four papers: what each figure needs and whether it is there, and the figures that can be made here.

    python tools/reproduce.py list                                   # the tables
    python tools/reproduce.py sfd-1                                  # what is there, what is missing and what to do
    python tools/reproduce.py sfd-1 --rows RRDB+SFD --sets Set5 --run
    python tools/reproduce.py all --plots

Results are kept below --results: after Ctrl-C the same command goes on. docs/guide/reproducing.md tells the rest.
"""

from functools import partial

from prismsr.tools.reproduction.command import add_arguments, run
from prismsr.utils.command_line import command, run_main

main = partial(command, "reproduce.py", __doc__, add_arguments, run)

if __name__ == "__main__":
    run_main(main)
