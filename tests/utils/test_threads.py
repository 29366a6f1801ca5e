"""Threads of a computation follow what other jobs leave, and a resumed run those that it began with."""

import os
import subprocess
import sys
import time

from prismsr.utils import threads

import pytest
import torch

_others_run = threads._others_run


@pytest.fixture
def machine(monkeypatch):
    """A machine of 8 cores without CUDA and settings of the user; returns the numbers of threads that are set."""
    for name in ("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
        monkeypatch.setenv(name, "")  # so that what is set below ends with the test
        monkeypatch.delenv(name)
    numbers = []
    monkeypatch.setattr(threads, "_begun", [])
    monkeypatch.setattr(threads, "_others_run", lambda: True)
    monkeypatch.setattr(threads, "count_cores", lambda: 8)
    monkeypatch.setattr(torch, "set_num_threads", numbers.append)
    monkeypatch.setattr(torch, "get_num_threads", lambda: numbers[-1] if numbers else 8)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    return numbers


def _watch(monkeypatch, used, own):
    counters = [(100.0, 1000.0, 2.0), (104.0, 1000.0 + used, 2.0 + own)]
    monkeypatch.setattr(threads, "_read_use", lambda: counters.pop(0))
    threads.watch_cores()
    threads.choose_threads()


@pytest.mark.parametrize(("used", "own", "number"), [(3.9, 3.9, 8), (4.1, 0.1, 7), (16, 4, 5), (32, 3, 1), (40, 0, 1)])
def test_as_many_threads_as_others_leave(machine, monkeypatch, used, own, number):
    _watch(monkeypatch, used, own)
    assert machine == [number]
    assert os.environ["GOMP_SPINCOUNT"] == str(threads.SPINS)


@pytest.mark.parametrize("name", ["OMP_WAIT_POLICY", "GOMP_SPINCOUNT"])
def test_waiting_of_the_user_is_kept(machine, monkeypatch, name):
    monkeypatch.setenv(name, "1")
    threads.watch_cores()
    assert {key: os.environ.get(key) for key in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")}[name] == "1"
    assert name == "GOMP_SPINCOUNT" or "GOMP_SPINCOUNT" not in os.environ


def test_threads_of_the_user_and_on_a_gpu_are_kept(machine, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "6")
    _watch(monkeypatch, 40, 0)
    assert not threads.keep_threads(3)
    monkeypatch.delenv("OMP_NUM_THREADS")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    threads._begun.clear()
    _watch(monkeypatch, 40, 0)
    assert not threads.keep_threads(3)
    assert machine == []


@pytest.mark.parametrize(("running", "limited"), [("4/200", True), ("1/200", False)])
def test_turning_is_limited_where_others_run(machine, monkeypatch, tmp_path, running, limited):
    monkeypatch.setattr(threads, "_others_run", _others_run)
    monkeypatch.setattr(threads, "_LOAD", tmp_path / "loadavg")
    (tmp_path / "loadavg").write_text(f"3.10 2.00 1.00 {running} 4711\n")
    threads.watch_cores()
    assert ("GOMP_SPINCOUNT" in os.environ) == limited


def test_without_a_watch_nothing_is_chosen(machine):
    threads.choose_threads()
    assert machine == []


def test_a_run_goes_on_with_its_threads(machine):
    assert threads.keep_threads(3)
    assert not threads.keep_threads(3)
    assert not threads.keep_threads(None)  # a checkpoint of before
    assert threads.keep_threads(64)
    assert machine == [3, 8]


@pytest.mark.skipif(not threads._COUNTERS.is_file(), reason="no /proc/stat")
def test_the_system_counts_what_processes_use():
    before = threads._read_use()
    subprocess.run([sys.executable, "-c", "import time\nwhile time.process_time() < 0.5: pass"], check=True)
    while time.process_time() < before[2] + 0.2:
        pass
    seconds, used, own = (now - then for now, then in zip(threads._read_use(), before, strict=True))
    assert used >= 0.6  # of 0.7, in ticks of 10 ms
    assert 0.2 <= own < 0.5
    assert used <= seconds * threads.count_cores() + 0.1
