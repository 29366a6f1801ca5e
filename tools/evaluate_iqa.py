"""Score the images of a quality data set with a no-reference metric, and correlate the scores with people's opinions.

    python tools/evaluate_iqa.py niqe --set koniq10k --root datasets/koniq10k

Scores are kept in results/iqa as they are made: after Ctrl-C the same command goes on where it stopped.
docs/guide/iqa.md tells what each figure is and where to get the sets.
"""

from collections.abc import Sequence

from prismsr.tools.iqa.opinions_command import add_arguments, run
from prismsr.utils.command_line import command, run_main


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Returns:
        Exit code: 0 done, 1 failed, 2 wrong usage or data set, 130 stopped by Ctrl-C.
    """
    return command("evaluate_iqa.py", __doc__, add_arguments, run, argv)


if __name__ == "__main__":
    run_main(main)
