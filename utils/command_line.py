"""Run a command of tools/: arguments in, one line on stderr for what went wrong, an exit code out."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from prismsr.utils.errors import DataError, JobError, UserError
from prismsr.utils.places import find_root
from prismsr.utils.plugins import add_import, import_named
from prismsr.utils.processes import count_cores
from prismsr.utils.rooms import register_all
from prismsr.utils.threads import choose_threads, watch_cores

ROOT = find_root()
"""Where experiments/, results/ and relative paths start; see prismsr.utils.places."""
GOES_ON = "stopped; what is finished is kept, the same command goes on from there"
SHOWN = 20  # messages printed before the rest is only counted
UNREAD = 141
"""Exit code where nobody reads any more what is printed, as in `| head`: a shell's for a program that SIGPIPE ended."""


def command(
    program: str,
    description: str | None,
    add_arguments: Callable[[argparse.ArgumentParser], None],
    run: Callable[[argparse.Namespace], int | None],
    argv: Sequence[str] | None = None,
    *,
    stopped: str = GOES_ON,
    failures: tuple[type[Exception], ...] = (),
    needs_parts: Callable[[argparse.Namespace], bool] = lambda args: True,
) -> int:
    """Parse the arguments, register all parts and what --import names, run, and print an expected error as one line.

    Args:
        program, description: the command's name, as `infer.py`, and its docstring, printed by --help as it is.
        add_arguments, run: declare the arguments, and do the work; what `run` returns is the exit code, None is 0.
        argv: the arguments; None for those of the process.
        stopped: message after Ctrl-C.
        failures: errors of other packages that are expected, besides OSError.
        needs_parts: whether these arguments may name a registered part; to register them all takes seconds.

    Returns:
        Exit code: 0 done, 1 failed, 2 wrong arguments, options or weights, 130 stopped by Ctrl-C.
    """
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog=program, description=description, formatter_class=plain)
    add_arguments(parser)
    add_import(parser)
    args = parser.parse_args(argv)
    expected: tuple[type[Exception], ...] = (OSError, *failures)
    try:
        if args.imports or needs_parts(args):
            watch_cores()
            register_all()
            choose_threads()
        import_named(args.imports)
        return run(args) or 0
    except (JobError, UserError) as error:
        # a job's cause, such as weights that are not there: a worker found it, the user has to mend it
        cause = error.__cause__ if isinstance(error, JobError) else error
        return fail(program, *(_describe(cause, args) if isinstance(cause, UserError) else (error, 1)))
    except BrokenPipeError:  # see end_with_reader
        raise
    except expected as error:
        return fail(program, error, 1)
    except KeyboardInterrupt:
        return fail(program, stopped, 130)


def _describe(error: UserError, args: argparse.Namespace) -> tuple[str, int]:
    """Return the message and the exit code of an error."""
    skipped = isinstance(error, DataError) and hasattr(args, "on_error")
    return f"{error}{'; --on-error skip goes on without such images' if skipped else ''}", error.exit_code


def fail(program: str, message: object, code: int) -> int:
    """Print on stderr what went wrong with the tool `program` (`infer.py`), a message or an error; return the code."""
    print(f"{program}: error: {message}", file=sys.stderr)
    return code


def run_main(main: Callable[[], int]) -> NoReturn:
    """Run a tool and end the process with its exit code; file names of any bytes can be printed."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    sys.exit(end_with_reader(main))


def end_with_reader(main: Callable[[], int]) -> int:
    """Return what `main` returns; UNREAD, without a word, where nobody reads any more what it prints."""
    try:
        try:
            return main()
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        for stream in (sys.stdout, sys.stderr):  # Python writes what they still hold at its end
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        return UNREAD


def whole_number(minimum: int) -> Callable[[str], int]:
    """Return an argparse type: a whole number of `minimum` or more."""

    def parse(text: str) -> int:
        if not text.lstrip("+").isdecimal() or int(text) < minimum:
            raise argparse.ArgumentTypeError(f"got {text!r}; allowed: a whole number of {minimum} or more")
        return int(text)

    return parse


def add_workers(parser: argparse.ArgumentParser) -> None:
    """Add --workers."""
    parser.add_argument(
        "--workers", type=whole_number(1), default=count_cores(), help="number of processes (default: %(default)s)"
    )


def add_on_error(parser: argparse.ArgumentParser) -> None:
    """Add --on-error."""
    parser.add_argument(
        "--on-error",
        choices=["stop", "skip"],
        default="stop",
        help="an image that cannot be used ends the run (stop, the default) or is left out and named at the end (skip)",
    )


def print_list(messages: Sequence[str]) -> None:
    """Print the first messages, and the number of the others."""
    for message in messages[:SHOWN]:
        print(f"  {message}")
    if len(messages) > SHOWN:
        print(f"  and {len(messages) - SHOWN} more")
