"""How the command-line tools begin and end."""

import sys
from collections.abc import Callable
from typing import NoReturn


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
