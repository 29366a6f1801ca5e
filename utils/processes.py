"""Work in several processes: many small jobs in order (`run_jobs`), or a few long shares (`iterate_in_processes`).

Packages are imported where they are used, so that a command that only prints its --help is quick.
"""

import multiprocessing
import os
import queue
import signal
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, suppress
from functools import partial
from typing import Any, Literal, TypeVar

from prismsr.utils.errors import DataError, JobError, UserError

OnError = Literal["stop", "skip"]
Item = TypeVar("Item")
Made = TypeVar("Made")
ALIVE_CHECK, STOP_CHECK = 1.0, 0.05  # seconds without news after which the processes are looked at
JOBS_IN_FLIGHT = 4  # per worker: keeps the workers busy while few results wait in memory


def count_cores() -> int:
    """Return the number of CPU cores that this process may use; a batch system may grant fewer than there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def run_jobs(
    work: Callable[..., Any],
    jobs: Sequence[tuple[Any, ...]],
    *,
    workers: int,
    on_error: OnError = "stop",
    label: str = "",
    consume: Callable[[Any], None] = lambda result: None,
) -> list[str]:
    """Call `work(*job)` for each job in worker processes and hand the results, in the order of the jobs, to `consume`.

    Args:
        work: picklable function (of a module, or a functools.partial of one).
        jobs: tuples of arguments; the first is the job's name in messages.
        workers: number of processes; 1 works in this process.
        on_error: what a `DataError` does: "stop" ends the run, "skip" goes on. Any other error ends the run.
        label: title of the progress bar.
        consume: called in this process with each result.

    Returns:
        Messages of the skipped jobs.

    Raises:
        DataError: `on_error` is "stop". JobError: a job failed for any other reason, or a worker process died.
    """
    from tqdm import tqdm

    skipped: list[str] = []
    workers = min(workers, len(jobs))
    here = ((job, partial(_try_job, work, job)) for job in jobs)
    outcomes = _run_in_processes(work, jobs, workers) if workers > 1 else here
    with closing(outcomes), tqdm(total=len(jobs), desc=label, unit="image") as bar:
        for job, find_outcome in outcomes:
            try:
                outcome = find_outcome()
            except Exception as error:
                raise _describe_failure(job, error) from error
            if not isinstance(outcome, DataError):
                consume(outcome)
            elif on_error == "stop":
                raise outcome
            else:
                skipped.append(str(outcome))
            bar.update()
    return skipped


def _try_job(work: Callable[..., Any], job: tuple[Any, ...]) -> Any:
    """Return the result of a job, or its DataError as a value; other errors pass through."""
    try:
        return work(*job)
    except DataError as error:
        return error


def _run_in_processes(
    work: Callable[..., Any], jobs: Sequence[tuple[Any, ...]], workers: int
) -> Generator[tuple[tuple[Any, ...], Callable[[], Any]]]:
    """Yield the jobs in order, each with what waits for its outcome."""
    import cv2

    opencv_threads = cv2.getNumThreads()
    cv2.setNumThreads(1)  # ends OpenCV's threads: a forked worker would wait for threads that it does not have
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker)
    waiting: deque[tuple[tuple[Any, ...], Callable[[], Any]]] = deque()
    try:
        for job in jobs:
            waiting.append((job, pool.submit(_try_job, work, job).result))
            if len(waiting) >= JOBS_IN_FLIGHT * workers:
                yield waiting.popleft()
        yield from waiting
    finally:
        pool.shutdown(wait=True, cancel_futures=True)  # what has begun is finished, so nothing is left half-written
        cv2.setNumThreads(opencv_threads)


def compute_ahead(work: Callable[[Item], Made], items: Iterable[Item]) -> Iterator[Made]:
    """Yield `work(item)` for each item, in order; a thread does the next while the caller is busy with the last.

    Example:
        >>> list(compute_ahead(str.upper, ["a", "b"]))
        ['A', 'B']
    """
    waiting: list[Future[Made]] = []  # none or one
    with ThreadPoolExecutor(1) as thread:
        for item in items:
            ready = [future.result() for future in waiting]
            waiting = [thread.submit(work, item)]
            yield from ready
        yield from (future.result() for future in waiting)


def _start_worker() -> None:
    _prepare_process(threads=1)  # the processes are the parallelism
    threading.Thread(target=leave_with_parent, daemon=True).start()


def _prepare_process(threads: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the main process ends the work
    os.environ["OMP_NUM_THREADS"] = str(threads)  # for a torch that is loaded later; most steps on images need none
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)


def leave_with_parent() -> None:
    """Wait for the end of the main process, then end this worker, which would wait for work forever; for a thread."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _describe_failure(job: tuple[Any, ...], error: Exception) -> JobError:
    if isinstance(error, BrokenProcessPool):
        return JobError(
            f"a worker process died at {job[0]} or one of the images after it, most likely for want of memory; "
            "use fewer --workers, or --workers 1 to see where"
        )
    if isinstance(error, OSError):
        return JobError(f"{job[0]}: {error}")
    return JobError(f"{job[0]}: unexpected error\n{''.join(traceback.format_exception(error)).rstrip()}")


# ----------------------------------------------------------------------------------------------------- long shares


def iterate_in_processes(
    work: Callable[..., Iterable[Any]], shares: Sequence[tuple[Any, ...]], advice: str
) -> Iterator[Any]:
    """Iterate over picklable items of `work(*share)`, a module's function, in a process for each share.

    Items come as they are ready, in no order. The processes begin without threads or CUDA of this one, so that each may
    use a GPU. `advice` tells what to do where a process died.

    Raises:
        UserError: raised by `work`.
        JobError: raised by `work`, instead of any other error, or since a process died. The other processes end after
            the item they are at.
    """
    context: Any = multiprocessing.get_context("forkserver" if sys.platform == "linux" else "spawn")
    if sys.platform == "linux":
        context.set_forkserver_preload([__name__, work.__module__])  # imported once, for all
    news, stop = context.Queue(), context.Event()
    threads = max(1, count_cores() // max(1, len(shares)))
    workers = [
        context.Process(target=_report, args=(work, share, threads, news, stop), daemon=True) for share in shares
    ]
    try:
        for worker in workers:
            worker.start()
        yield from _receive(news, workers, advice)
    finally:
        stop.set()
        while any(worker.is_alive() for worker in workers):
            with suppress(queue.Empty):  # a process does not end before its news are taken
                news.get(timeout=STOP_CHECK)


def _receive(news: Any, workers: Sequence[Any], advice: str) -> Iterator[Any]:
    """Yield what the processes report, until all have said that they are through."""
    running = len(workers)
    while running:
        report: Any = ()
        with suppress(queue.Empty):
            report = news.get(timeout=ALIVE_CHECK)
        if isinstance(report, Exception):
            raise report
        if report is None:
            running -= 1
        yield from report or ()
        codes = [worker.exitcode for worker in workers if worker.exitcode not in (None, 0)]
        if codes and news.empty():
            raise JobError(f"a process died (exit code {codes[0]}), most likely for want of memory; {advice}")


def _report(work: Callable[..., Iterable[Any]], share: tuple[Any, ...], threads: int, news: Any, stop: Any) -> None:
    """Put each item as a list of one, then None or the error; runs in a process of its own."""
    _prepare_process(threads)
    parent = multiprocessing.parent_process()
    try:
        for item in work(*share):
            news.put([item])
            if stop.is_set() or (parent is not None and not parent.is_alive()):
                return
        news.put(None)
    except (UserError, JobError) as error:
        news.put(error)
    except Exception as error:  # an exception of torch's may not survive the way to the main process
        news.put(JobError(f"process {os.getpid()}: {type(error).__name__}: {error}"))
