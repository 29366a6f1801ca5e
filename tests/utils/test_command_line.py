"""One command: arguments in, an exit code and one line on stderr out."""

from prismsr.utils.command_line import UNREAD, command, end_with_reader
from prismsr.utils.errors import DataError, JobError, OptionError, TrainingError, UserError

import pytest


def run_command(error, *arguments, failures=()):
    def add_arguments(parser):
        parser.add_argument("--on-error", choices=["stop", "skip"], default="stop")

    def run(args):
        if isinstance(error, BaseException):
            raise error
        return error

    return command("x.py", "What it does.", add_arguments, run, arguments, stopped="stopped here", failures=failures)


def caused(cause):
    error = JobError("a.png: unexpected error")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (OptionError("--scale: 5"), 2, "--scale: 5"),
        (UserError("no weights"), 2, "no weights"),
        (TrainingError("NaN"), 1, "NaN"),
        (DataError("a.png is damaged"), 1, "a.png is damaged; --on-error skip goes on without such images"),
        (caused(UserError("no weights")), 2, "no weights"),
        (caused(RuntimeError("torch")), 1, "a.png: unexpected error"),
        (OSError("disk full"), 1, "disk full"),
        (KeyboardInterrupt(), 130, "stopped here"),
    ],
)
def test_an_expected_error_is_one_line_and_a_code(error, code, message, capsys):
    assert run_command(error) == code
    assert capsys.readouterr().err == f"x.py: error: {message}\n"


def test_what_a_run_returns_is_the_code(capsys):
    assert [run_command(value) for value in (None, 0, 1)] == [0, 0, 1]
    assert capsys.readouterr().err == ""


def test_other_errors_pass_and_named_ones_do_not(capsys):
    with pytest.raises(ZeroDivisionError):
        run_command(ZeroDivisionError())
    assert run_command(ZeroDivisionError("division"), failures=(ArithmeticError,)) == 1


def test_arguments_of_argparse(capsys):
    with pytest.raises(SystemExit) as stop:
        run_command(0, "--on-error", "maybe")
    assert stop.value.code == 2
    with pytest.raises(SystemExit) as stop:
        run_command(0, "--help")
    assert stop.value.code == 0 and "What it does." in capsys.readouterr().out


@pytest.mark.parametrize(("flush", "arguments"), [(False, []), (True, []), (False, ["--help"])])
def test_a_closed_pipe_ends_a_command_without_a_word(flush, arguments, stop_reading):
    def run(args):
        print("x", flush=flush)

    stop_reading()
    assert end_with_reader(lambda: command("x.py", None, lambda parser: None, run, arguments)) == UNREAD
    print("what Python still holds at its end", flush=True)
