"""Score the images of a quality data set with a no-reference metric, and correlate the scores with people's opinions.

    python tools/evaluate_iqa.py niqe --set koniq10k --root datasets/koniq10k

Scores are kept in results/iqa as they are made: after Ctrl-C the same command goes on where it stopped.
docs/guide/iqa.md tells what each figure is and where to get the sets.
"""

from functools import partial

from prismsr.tools.iqa.opinions_command import add_arguments, run
from prismsr.utils.command_line import command, run_main

main = partial(command, "evaluate_iqa.py", __doc__, add_arguments, run)

if __name__ == "__main__":
    run_main(main)
