"""Prepare training and test data: `python tools/prepare.py SUBCOMMAND --help` tells what each step does."""

from collections.abc import Sequence

from prismsr.data.prepare.command import add_arguments, run
from prismsr.utils.command_line import command, run_main

import lmdb


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Returns:
        Exit code: 0 done, 1 failed, 2 wrong arguments, 130 stopped by Ctrl-C.
    """
    return command("prepare.py", __doc__, add_arguments, run, argv, failures=(lmdb.Error,))


if __name__ == "__main__":
    run_main(main)
