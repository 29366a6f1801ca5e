"""Threads of a computation on the CPU beside other jobs: as many as cores are idle, and little turning in circles.

OpenMP's threads wait for each other by turning in a loop. Where another job has their core, those that run turn for
those that do not. So a computation takes the cores that others leave, and turns for a short time only where others run
already. OMP_NUM_THREADS, OMP_WAIT_POLICY and GOMP_SPINCOUNT of the user are kept. torch is not imported here.
"""

import os
import sys
import time
from pathlib import Path
from typing import Any

from prismsr.utils.processes import count_cores

SPINS = 1000
"""Turns before a waiting thread sleeps, a few microseconds; alone libgomp's own 300,000 are up to a quarter faster."""
LOOKS = 5
"""How often, 10 ms apart, others have to be running: some process runs for a moment now and then."""
_COUNTERS, _LOAD = Path("/proc/stat"), Path("/proc/loadavg")
_begun: list[tuple[float, float, float]] = []
"""When the watch began: seconds, seconds that all processes had used of the cores, and this one."""


def watch_cores() -> None:
    """Begin to watch what others use of the cores; limit turning where they do. torch must not be loaded before."""
    if not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & os.environ.keys() and _others_run():
        os.environ["GOMP_SPINCOUNT"] = str(SPINS)
    if _COUNTERS.is_file() and not _begun:
        _begun.append(_read_use())


def choose_threads() -> None:
    """Use as many threads as cores were idle since `watch_cores`, at least one.

    Nothing is changed where the user or a launcher says how many (OMP_NUM_THREADS), where CUDA computes, and where the
    watch has not begun.
    """
    torch = sys.modules.get("torch")
    if torch is None or not _begun or _are_given(torch):
        return
    torch.set_num_threads(count_idle(*(now - then for now, then in zip(_read_use(), _begun[0], strict=True))))


def count_idle(seconds: float, used: float, own: float) -> int:
    """Return the cores that others leave, rounded, at least one.

    Args:
        seconds: length of the watch.
        used: seconds of all processes on the cores that this one may use.
        own: seconds of this process.

    Example:
        >>> from unittest.mock import patch
        >>> with patch("prismsr.utils.threads.count_cores", return_value=4):
        ...     count_idle(10.0, 30.0, 9.0), count_idle(10.0, 40.0, 2.0)
        (2, 1)
    """
    others = max(0.0, used - own) / seconds if seconds > 0 else 0.0
    return max(1, round(count_cores() - others))


def keep_threads(number: int | None) -> bool:
    """Use the number of threads that a run began with, since sums in another order end in other bits.

    `number` is what its checkpoint says, None an older one's. Returns whether this is another number than before.
    OMP_NUM_THREADS is kept, and so is the number on CUDA.
    """
    import torch

    number = min(number or torch.get_num_threads(), count_cores())
    if _are_given(torch) or number == torch.get_num_threads():
        return False
    torch.set_num_threads(number)
    return True


def _are_given(torch: Any) -> bool:
    return "OMP_NUM_THREADS" in os.environ or bool(torch.cuda.is_available())


def _others_run() -> bool:
    if not _LOAD.is_file():
        return False
    for _ in range(LOOKS):
        running = int(_LOAD.read_text(encoding="ascii").split()[3].partition("/")[0])
        if running <= 1:  # this one
            return False
        time.sleep(0.01)
    return True


def _read_use() -> tuple[float, float, float]:
    cores = {f"cpu{core}" for core in os.sched_getaffinity(0)}
    ticks = 0
    for line in _COUNTERS.read_text(encoding="ascii").splitlines():
        name, *counts = line.split()
        if name in cores:
            user, nice, system, _idle, _waiting, interrupts, soft, *_ = map(int, counts)
            ticks += user + nice + system + interrupts + soft
    return time.monotonic(), ticks / os.sysconf("SC_CLK_TCK"), time.process_time()
