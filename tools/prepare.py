"""Prepare training and test data: `python tools/prepare.py SUBCOMMAND --help` tells what each step does."""

from functools import partial

from prismsr.data.prepare.command import add_arguments, needs_parts, run
from prismsr.utils.command_line import command, run_main

import lmdb

main = partial(command, "prepare.py", __doc__, add_arguments, run, failures=(lmdb.Error,), needs_parts=needs_parts)

if __name__ == "__main__":
    run_main(main)
