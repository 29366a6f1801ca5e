"""Work in several processes: order, bad items, and what happens where a process fails, dies or is stopped."""

import itertools
import multiprocessing
import os
import threading
import time
from functools import partial

from prismsr.utils.errors import DataError, JobError
from prismsr.utils.processes import compute_ahead, count_cores, iterate_in_processes, run_jobs

import pytest

JOBS = [(f"image {number}", number) for number in range(20)]


def _square(name, number, bad=(), slow=False):
    if number in bad:
        raise DataError(f"{name} is bad")
    if slow and number % 5 == 0:
        time.sleep(0.05)
    return number * number


def _fail(name, number, how):
    if number == 7:
        raise how
    return number


def _die(name, number):
    if number == 7:
        os._exit(3)
    return number


@pytest.mark.parametrize("workers", [1, 3])
def test_results_come_in_the_order_of_the_jobs(workers):
    results = []
    assert run_jobs(partial(_square, slow=True), JOBS, workers=workers, consume=results.append) == []
    assert results == [number * number for number in range(20)]


@pytest.mark.parametrize("workers", [1, 2])
def test_bad_data_stop_or_are_skipped(workers):
    work = partial(_square, bad=(3, 9))
    results = []
    with pytest.raises(DataError, match="image 3 is bad"):
        run_jobs(work, JOBS, workers=workers)
    skipped = run_jobs(work, JOBS, workers=workers, on_error="skip", consume=results.append)
    assert skipped == ["image 3 is bad", "image 9 is bad"]
    assert results == [number * number for number in range(20) if number not in (3, 9)]


@pytest.mark.parametrize("workers", [1, 2])
def test_other_failures_are_never_swallowed(workers):
    with pytest.raises(JobError, match=r"(?s)image 7: unexpected error.*_fail.*ZeroDivisionError: oh"):
        run_jobs(partial(_fail, how=ZeroDivisionError("oh")), JOBS, workers=workers, on_error="skip")
    with pytest.raises(JobError, match=r"image 7: .*No space left") as caught:
        run_jobs(partial(_fail, how=OSError(28, "No space left on device")), JOBS, workers=workers, on_error="skip")
    assert "Traceback" not in str(caught.value)


def test_dead_worker_is_reported():
    with pytest.raises(JobError, match="worker process died"):
        run_jobs(_die, JOBS, workers=2, on_error="skip")


def test_interrupt_of_the_main_process_ends_the_workers():
    def interrupt(result):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_jobs(_square, JOBS, workers=2, consume=interrupt)
    assert multiprocessing.active_children() == []


def test_no_jobs():
    assert run_jobs(_square, [], workers=4) == []
    assert count_cores() >= 1


def test_shares_are_iterated_in_processes_of_their_own():
    assert sorted(iterate_in_processes(range, [(0, 3), (10, 12), (5, 5)], "")) == [0, 1, 2, 10, 11]


def test_an_error_or_a_death_in_a_share_ends_all():
    with pytest.raises(JobError, match=r"process \d+: ValueError: invalid literal"):
        list(iterate_in_processes(int, [("x",)], ""))
    with pytest.raises(JobError, match=r"exit code 3"):
        list(iterate_in_processes(os._exit, [(3,)], "use a smaller tile"))


def test_leaving_the_iteration_ends_the_processes():
    items = iterate_in_processes(itertools.count, [(0,), (0,)], "")
    assert next(items) == 0
    items.close()
    assert multiprocessing.active_children() == []


def test_the_next_item_is_computed_while_the_caller_is_busy():
    begun = [threading.Event() for _ in range(3)]

    def work(number):
        begun[number].set()
        return number**2

    results = compute_ahead(work, range(3))
    assert next(results) == 0
    assert begun[1].wait(10) and not begun[2].is_set()
    assert list(results) == [1, 4]


def test_an_error_comes_at_its_item():
    results = compute_ahead(lambda number: 1 // number, [1, 0, 1])
    assert next(results) == 1
    with pytest.raises(ZeroDivisionError):
        next(results)
