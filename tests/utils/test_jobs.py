import multiprocessing
import os
import time
from functools import partial
from pathlib import Path

from prismsr.utils.errors import DataError, JobError
from prismsr.utils.files import atomic_write
from prismsr.utils.processes import default_workers, run_jobs

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
    assert default_workers() >= 1


def test_atomic_write_replaces_or_leaves_nothing(tmp_path, monkeypatch):
    path = tmp_path / "new" / "file"
    atomic_write(path, b"one")
    atomic_write(path, b"two")
    assert path.read_bytes() == b"two"
    write_bytes = Path.write_bytes

    def disk_full(self, data):
        write_bytes(self, data[:2])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space"):
        patch.setattr(Path, "write_bytes", disk_full)
        atomic_write(path, b"three")
    assert path.read_bytes() == b"two"
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="folder"):
        atomic_write(tmp_path / "folder", b"four")
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["file", "folder", "new"]
