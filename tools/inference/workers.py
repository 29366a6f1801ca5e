"""Inference in several processes, one for each device: the list of images is dealt out like cards."""

import multiprocessing
import os
import queue
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from prismsr.tools.inference.files import Outcome, infer_files
from prismsr.tools.inference.generator import load_generator
from prismsr.tools.inference.plan import Job
from prismsr.tools.inference.upscaler import InferenceError, Upscaler
from prismsr.utils.errors import JobError, UserError
from prismsr.utils.processes import default_workers

import torch

_ALIVE_CHECK = 1.0  # seconds without news after which the processes are looked at


def infer_in_processes(upscaler: Upscaler, jobs: Sequence[Job], devices: Sequence[str]) -> Iterator[Outcome]:
    """As `infer_files`, in one process for each device; outcomes come as they are ready, in no order.

    Args:
        upscaler: its generator is one of `load_generator`, and is loaded again in each process.
        jobs: the images.
        devices: torch devices; one may stand here more than once.

    Raises:
        InferenceError: the generator cannot be loaded again.
        JobError: a process died, or an output cannot be written; the others end after the image they are at.
    """
    source = upscaler.generator.source
    if not source:
        raise InferenceError(f"{upscaler.generator.name} was not made by load_generator: it works in one process only")
    context: Any = multiprocessing.get_context("forkserver" if sys.platform == "linux" else "spawn")
    if sys.platform == "linux":
        context.set_forkserver_preload([__name__])  # everything is imported once, in a process without threads or CUDA
    news, stop = context.Queue(), context.Event()
    shares = [jobs[index :: len(devices)] for index in range(len(devices))]
    threads = max(1, default_workers() // len(devices))
    arguments = upscaler.arguments
    workers = [
        context.Process(
            target=_work, args=({**source, "device": device}, arguments, share, threads, news, stop), daemon=True
        )
        for device, share in zip(devices, shares, strict=True)
        if share
    ]
    try:
        for worker in workers:
            worker.start()
        yield from _news(news, workers)
    finally:
        stop.set()
        for worker in workers:
            if worker.pid is not None:
                worker.join()


def _news(news: Any, workers: Sequence[Any]) -> Iterator[Outcome]:
    """What the processes report, until all have said that they are through."""
    running = len(workers)
    while running:
        item: Any = False
        with suppress(queue.Empty):
            item = news.get(timeout=_ALIVE_CHECK)
        if isinstance(item, Exception):
            raise item
        if item is None:
            running -= 1
        elif item:
            yield item
        _require_alive(news, workers)


def _require_alive(news: Any, workers: Sequence[Any]) -> None:
    codes = [worker.exitcode for worker in workers if worker.exitcode not in (None, 0)]
    if codes and news.empty():
        raise JobError(
            f"a process died (exit code {codes[0]}), most likely for want of memory; use a smaller --tile or fewer "
            "--workers"
        )


def _work(
    source: Mapping[str, Any], arguments: Mapping[str, Any], jobs: Sequence[Job], threads: int, news: Any, stop: Any
) -> None:
    """One process: load the generator, go through its share, report."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the main process ends the work
    torch.set_num_threads(threads)
    parent = multiprocessing.parent_process()

    def ended() -> bool:
        return bool(stop.is_set()) or (parent is not None and not parent.is_alive())

    try:
        for outcome in infer_files(Upscaler(load_generator(**source), **arguments), jobs, ended):
            news.put(outcome)
        news.put(None)
    except (UserError, JobError) as error:
        news.put(error)
    except Exception as error:  # an exception of torch's may not survive the way to the main process
        news.put(JobError(f"process {os.getpid()} on {source['device']}: {type(error).__name__}: {error}"))
