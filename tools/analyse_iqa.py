"""How quality metrics agree with people: in pairs of images, and on HGGT's labels (section 3 of the AMO paper).

    python tools/analyse_iqa.py pairs --pairs FILE.csv --root DIR --metric musiq niqe-pyiqa natural_scene
    python tools/analyse_iqa.py hggt --root DIR --labels DIR --metric musiq niqe-pyiqa natural_scene

Scores are kept as they are made: after Ctrl-C the same command goes on where it stopped. docs/guide/iqa_analysis.md
tells what each figure is, and which of them are our reconstruction.
"""

from functools import partial

from prismsr.tools.iqa.people_command import add_arguments, run
from prismsr.utils.command_line import command, run_main

main = partial(command, "analyse_iqa.py", __doc__, add_arguments, run)

if __name__ == "__main__":
    run_main(main)
