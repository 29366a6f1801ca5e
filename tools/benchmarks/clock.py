"""A clock for the parts of a computation, which the benchmarks that print shares use."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

from prismsr.tools.benchmarks.measure import synchronize

import torch


class PartClock:
    """Times parts of a computation, each waited for, by path: "UNet/LGCAA" is the part LGCAA inside the part UNet.

    Args:
        device: that is waited for.

    Attributes:
        seconds: of all calls of a part, by path.
        calls: their number.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.seconds: dict[str, float] = {}
        self.calls: dict[str, int] = {}
        self._open: list[str] = []

    @contextmanager
    def time_part(self, name: str) -> Iterator[None]:
        """Time what runs inside this context."""
        self._open.append(name)
        path = "/".join(self._open)
        synchronize(self.device)
        start = time.perf_counter()
        try:
            yield
            synchronize(self.device)
        finally:
            self._open.pop()
        self.seconds[path] = self.seconds.get(path, 0) + time.perf_counter() - start
        self.calls[path] = self.calls.get(path, 0) + 1

    def watch(self, owner: Any, method: str, name: str) -> None:
        """Time each call of an object's method from now on."""
        function = getattr(owner, method)

        @wraps(function)
        def run(*args: Any, **kwargs: Any) -> Any:
            with self.time_part(name):
                return function(*args, **kwargs)

        setattr(owner, method, run)

    def time_call(self, run: Callable[[], object]) -> dict[str, Any]:
        """Call a function: `seconds_in_parts`, of the whole call, and `parts`, path -> (seconds, calls)."""
        with self.time_part("all"):
            run()
        inner = {path.removeprefix("all/"): path for path in self.seconds if path != "all"}
        parts = {name: (self.seconds[path], self.calls[path]) for name, path in inner.items()}
        return {"seconds_in_parts": self.seconds["all"], "parts": parts}
