"""Errors that the user can mend: the launchers print their message alone, without a traceback, and exit with 2."""


class UserError(Exception):
    """Something in the user's files, flags or machine is not as it has to be; the message says what and where."""

    exit_code = 2
    """What a command exits with that prints the message; 1 where the run failed, not what it was asked for."""


class OptionError(UserError, ValueError):
    """An option file or flag cannot be used; the message names the file, the line where it is known, and the key."""


class TrainingError(UserError, RuntimeError):
    """A training that ran cannot go on; the message says why, and the launchers exit with 1."""

    exit_code = 1


class NonFiniteError(TrainingError):
    """Too many updates in a row had a gradient that was NaN or infinite; the weights are those of the last good one."""


class DataError(UserError, ValueError):
    """One item's data are bad (unreadable, too small, ...): the message names the item; a run may skip it."""

    exit_code = 1


def shorten_error(error: BaseException) -> str:
    """Return the first line of an error's message, or the name of its class where it has none."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


class JobError(RuntimeError):
    """A run had to stop; the message names the job and the reason."""
