"""Kill a command before each of its steps on the disk, and run it again."""

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import torch

KILLED = 99
STEPS = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate"}


def run_killed(main: Callable[[], int], folder: Path, kill: int = 0) -> int:
    """Return the exit code of a command run in a folder, in a process of its own that dies before its step `kill`."""
    process = os.fork()
    if process:
        return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    code = 98
    try:
        torch.set_num_threads(1)  # a forked process has no pool of threads
        os.chdir(folder)
        sys.addaudithook(_make_killer(kill))
        code = main()
    finally:
        os._exit(code)


def kill_at_each_step(
    start: Path, place: Path, run: Callable[[Path, int], int], at_least: int
) -> Iterator[tuple[int, Path]]:
    """Yield a copy of `start` for each step on the disk of `run(folder, kill)`, killed there, with the step's number.

    It ends when a whole run, with exit code 0, has been reached, which takes more than `at_least` steps.
    """
    for number in count(1):
        shutil.copytree(start, cut := place / f"cut{number}")
        code = run(cut, number)
        if code != KILLED:
            assert code == 0 and number > at_least
            return
        yield number, cut


def _make_killer(number: int) -> Callable[[str, tuple], None]:
    steps = count(1)

    def hook(event: str, arguments: tuple) -> None:
        writes = event == "open" and isinstance(arguments[1], str) and not arguments[1].startswith("r")
        if (event in STEPS or writes) and next(steps) == number:
            os._exit(KILLED)

    return hook
