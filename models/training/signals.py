"""Ctrl-C and SIGTERM while training: the first asks for a checkpoint and an orderly end, a second ends at once."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

NAMES = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}
ECHO = 1.0
"""Seconds in which a repeated signal counts as the same one: a terminal and a launcher may both deliver it."""


class Interrupted(BaseException):
    """The run was asked to end; not an Exception, so that no `except Exception` holds it up.

    The exit code is 128 + number, as shells have it: 130 for Ctrl-C, 143 for SIGTERM.
    """

    def __init__(self, number: int) -> None:
        super().__init__(NAMES.get(signal.Signals(number), f"signal {number}"))
        self.number = number
        self.exit_code = 128 + number


class _Watch:
    """What has come in so far, and what to do about it."""

    def __init__(self) -> None:
        self.requested: int | None = None
        self.deferred = False
        self.since = 0.0

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self.requested is None:
            self.requested, self.since = number, time.monotonic()
            self._first(number)
        elif time.monotonic() - self.since > ECHO:
            os.write(2, b"Ended at once.\n")  # print is not safe where it may have been interrupted
            os._exit(128 + number)

    def _first(self, number: int) -> None:
        if not self.deferred:
            raise Interrupted(number)
        if os.environ.get("RANK", "0") == "0":
            text = f"\n{Interrupted(number)}: ending after this step with a checkpoint; once more ends at once.\n"
            os.write(2, text.encode())


_WATCH = _Watch()


def stop_requested() -> int | None:
    """Return the signal that asked this process to end, or None."""
    return _WATCH.requested


@contextmanager
def handle_signals() -> Iterator[None]:
    """Turn SIGINT and SIGTERM into `Interrupted` inside the block; the handlers from before return after it."""
    _WATCH.__init__()  # type: ignore[misc]
    before = {number: signal.signal(number, _WATCH) for number in NAMES}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        _WATCH.__init__()  # type: ignore[misc]


def defer() -> None:
    """Only note the first signal from now on (`stop_requested`): there is something to save."""
    _WATCH.deferred = True
