"""Ctrl-C and SIGTERM while training: the first asks for a checkpoint and an orderly end, a second ends at once."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

NAMES = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}


class Interrupted(BaseException):
    """The run was asked to end; not an Exception, so that no `except Exception` holds it up.

    Attributes:
        number: the signal.
        exit_code: 128 + number, as shells have it: 130 for Ctrl-C, 143 for SIGTERM.
    """

    def __init__(self, number: int) -> None:
        super().__init__(NAMES.get(signal.Signals(number), f"signal {number}"))
        self.number = number
        self.exit_code = 128 + number


_requested: int | None = None
_deferred = False


def stop_requested() -> int | None:
    """The signal that asked this process to end, or None."""
    return _requested


def _handle(number: int, frame: FrameType | None) -> None:
    global _requested
    if _requested is not None:
        os.write(2, b"Ended at once.\n")  # print is not safe where it may have been interrupted
        os._exit(128 + number)
    _requested = number
    if not _deferred:
        raise Interrupted(number)
    if os.environ.get("RANK", "0") == "0":
        text = f"\n{Interrupted(number)}: ending after this step with a checkpoint; once more ends at once.\n"
        os.write(2, text.encode())


@contextmanager
def handled() -> Iterator[None]:
    """Turn SIGINT and SIGTERM into `Interrupted` inside the block; the handlers from before return after it."""
    global _requested, _deferred
    before = {number: signal.signal(number, _handle) for number in NAMES}
    _requested, _deferred = None, False
    try:
        yield
    finally:
        _requested, _deferred = None, False
        for number, handler in before.items():
            signal.signal(number, handler)


def defer() -> None:
    """From now on the first signal is only noted (`stop_requested`): there is something to save."""
    global _deferred
    _deferred = True


def raise_if_requested() -> None:
    """Raise `Interrupted` where a signal was noted."""
    if _requested is not None:
        raise Interrupted(_requested)


if sys.platform == "win32":  # pragma: no cover
    NAMES.pop(signal.SIGTERM)
