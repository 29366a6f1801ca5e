"""How the command-line tools begin and end."""

import argparse
import sys
from collections.abc import Callable
from typing import NoReturn

from prismsr.utils.processes import default_workers


def fail(program: str, message: object, code: int) -> int:
    """Print what went wrong on stderr.

    Args:
        program: name of the tool, as `infer.py`.
        message: what is wrong and what to do, or the error that says so.
        code: exit code.

    Returns:
        The exit code.
    """
    print(f"{program}: error: {message}", file=sys.stderr)
    return code


def run_main(main: Callable[[], int]) -> NoReturn:
    """Run a tool and end the process with its exit code; file names of any bytes can be printed."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    sys.exit(main())


SHOWN = 20  # messages printed before the rest is only counted


def whole_number(minimum: int) -> Callable[[str], int]:
    """An argparse type: a whole number of `minimum` or more."""

    def parse(text: str) -> int:
        if not text.lstrip("+").isdecimal() or int(text) < minimum:
            raise argparse.ArgumentTypeError(f"got {text!r}; allowed: a whole number of {minimum} or more")
        return int(text)

    return parse


def add_workers(parser: argparse.ArgumentParser) -> None:
    """Add --workers."""
    parser.add_argument(
        "--workers", type=whole_number(1), default=default_workers(), help="number of processes (default: %(default)s)"
    )


def add_on_error(parser: argparse.ArgumentParser) -> None:
    """Add --on-error."""
    parser.add_argument(
        "--on-error",
        choices=["stop", "skip"],
        default="stop",
        help="an image that cannot be used ends the run (stop, the default) or is left out and named at the end (skip)",
    )


def print_list(messages: list[str]) -> None:
    """Print the first messages, and the number of the others."""
    for message in messages[:SHOWN]:
        print(f"  {message}")
    if len(messages) > SHOWN:
        print(f"  and {len(messages) - SHOWN} more")
