"""The loading processes of a training: started so that signals and OpenCV's threads do them no harm."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from multiprocessing import resource_tracker
from typing import Any

from prismsr.utils.processes import leave_with_parent

import cv2
import torch
from torch.utils.data import DataLoader

TELLS_SENDER = hasattr(signal, "sigwaitinfo")
"""Whether the system tells who sent a signal (macOS does not); elsewhere SIGTERM ends a loading process."""


class TrainLoader(DataLoader[Any]):
    """torch's DataLoader, whose processes begin with SIGINT and SIGTERM blocked and without OpenCV's threads."""

    def __iter__(self) -> Any:
        with _quiet_start() if self.num_workers else nullcontext():
            return super().__iter__()


@contextmanager
def _quiet_start() -> Iterator[None]:
    """Start processes inside: no OpenCV threads, and both signals blocked in this thread and so in its children.

    A forked process that ends OpenCV's threads, which it does not have, crashes. The signals are blocked here already,
    because a spawned process needs seconds before `start_worker` runs, and has threads of its own (OpenBLAS's) by then;
    the kernel hands a signal to any thread that does not block it.
    """
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    if multiprocessing.get_start_method() != "fork":
        resource_tracker.ensure_running()  # its start, which the first spawn would bring about, unblocks them
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, *([signal.SIGTERM] if TELLS_SENDER else [])})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        cv2.setNumThreads(threads)


def start_worker(worker_id: int) -> None:
    """Prepare a loading process: one thread, and ended by the main process alone, or by its death.

    Ctrl-C reaches every process of the terminal, and slurm sends SIGTERM to every process of a job. The main process
    answers with a checkpoint, which it cannot write when a loading process dies under it. Samples do not depend on the
    process's number.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # blocked by `_quiet_start`
    torch.set_num_threads(1)  # the processes are the parallelism
    cv2.setNumThreads(1)
    if TELLS_SENDER:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=_leave_when_told, daemon=True).start()
    # torch's own look-out compares with the parent it has when it starts: it takes init for the main process where that
    # is killed before, as in the seconds that a spawned process needs
    threading.Thread(target=leave_with_parent, daemon=True).start()


def _leave_when_told() -> None:
    """Take every SIGTERM; end this process where it comes from the main process."""
    parent = multiprocessing.parent_process()
    while True:
        sender = signal.sigwaitinfo({signal.SIGTERM}).si_pid
        if parent is not None and sender == parent.pid:
            os._exit(0)
