"""One run at a time in a folder: another process is refused, a dead one's lock is taken over."""

import json
import os
import signal
import socket

from prismsr.tools import evaluate, infer, prepare
from prismsr.utils import folder_lock as module
from prismsr.utils.folder_lock import FolderInUseError, folder_lock

import cv2
import numpy as np
import pytest
from generator_cases import write_images, write_model

HOLD = """
import os, sys, time
from pathlib import Path
from prismsr.utils.folder_lock import folder_lock
try:
    with folder_lock(Path(sys.argv[1])):
        if len(sys.argv) > 2 and os.fork() == 0:
            time.sleep(60)  # as a worker does that outlives its parent
        print("held", flush=True)
        time.sleep(60)
except KeyboardInterrupt:
    pass
"""


@pytest.fixture
def hold(launch_server, tmp_path_factory):
    """Start a process that holds the lock of a folder until Ctrl-C."""
    script = tmp_path_factory.mktemp("hold") / "hold.py"
    script.write_text(HOLD)
    started = []

    def start(folder, *arguments):
        process = launch_server.start(script.parent, "script", str(script), str(folder), *arguments)
        started.append(process)
        process.wait_for("held")
        return process

    yield start
    for process in started:
        process.send(signal.SIGKILL)
        process.end()


def _release(process):
    process.send(signal.SIGINT)
    assert process.end() == (0, "held\n")


def _lock_file(folder):
    return folder.parent / f".{folder.name}.lock"


def test_second_process_is_refused_and_told_who_holds_it(tmp_path, hold):
    process = hold(tmp_path / "run")
    with pytest.raises(FolderInUseError, match=f"process {process.pid} on {socket.gethostname()}"):
        folder_lock(tmp_path / "run").__enter__()
    with folder_lock(tmp_path / "other"):
        pass
    _release(process)
    with folder_lock(tmp_path / "run"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_lock_of_a_killed_process_is_taken_over_though_its_worker_lives(tmp_path, hold):
    process = hold(tmp_path / "run", "with a worker")
    os.kill(process.pid, signal.SIGKILL)
    assert process.end()[0] == -signal.SIGKILL
    assert _lock_file(tmp_path / "run").is_file()
    with folder_lock(tmp_path / "run"):
        assert json.loads(_lock_file(tmp_path / "run").read_text())["pid"] == os.getpid()


def test_folder_may_be_renamed_while_it_is_held(tmp_path, hold):
    (tmp_path / "run").mkdir()
    hold(tmp_path / "run")
    (tmp_path / "run").rename(tmp_path / "run_archived")
    with pytest.raises(FolderInUseError):
        folder_lock(tmp_path / "run").__enter__()


def test_one_process_may_ask_again(tmp_path):
    with folder_lock(tmp_path / "run"):
        with folder_lock(tmp_path / "run"):
            pass
        assert _lock_file(tmp_path / "run").is_file()


def test_long_names(tmp_path):
    with folder_lock(tmp_path / ("x" * 255)):
        pass


def _holder(pid, host=None):
    holder = {"host": host or socket.gethostname(), "pid": pid, "start": module._process_start(pid), "since": "today"}
    return json.dumps(holder)


@pytest.mark.parametrize("change", [{}, {"start": "1"}, {"pid": 1 << 22}, {"host": "elsewhere"}])
def test_where_the_file_system_has_no_locks_the_process_is_looked_for(tmp_path, monkeypatch, change):
    monkeypatch.setattr(module, "fcntl", None)
    holder = json.loads(_holder(os.getppid())) | change
    _lock_file(tmp_path / "run").write_text(json.dumps(holder))
    if "pid" in change or "start" in change:
        with folder_lock(tmp_path / "run"):
            return
    with pytest.raises(FolderInUseError, match="elsewhere" if change else str(os.getppid())):
        folder_lock(tmp_path / "run").__enter__()


def test_free_lock_of_another_host_is_taken_over_and_told(tmp_path, capsys):
    _lock_file(tmp_path / "run").write_text(_holder(7, "elsewhere"))
    with folder_lock(tmp_path / "run"):
        pass
    assert "process 7 on elsewhere" in capsys.readouterr().err


def test_tools_refuse_a_folder_in_use(tmp_path, hold, capsys):
    for name in ("sr", "gt"):
        (tmp_path / name).mkdir()
        cv2.imwrite(str(tmp_path / name / "a.png"), np.full((32, 32, 3), 7, np.uint8))
    folders = ["--sr", str(tmp_path / "sr"), "--gt", str(tmp_path / "gt"), "--metrics", "psnr", "--workers", "1"]
    for main, arguments in ((prepare.main, ["photos"]), (evaluate.main, folders)):
        process = hold(tmp_path / "out")
        assert main([*arguments, "-o", str(tmp_path / "out")]) == 2
        assert f"process {process.pid} on" in capsys.readouterr().err
        assert not (tmp_path / "out").exists()
        _release(process)
    assert evaluate.main([*folders, "-o", str(tmp_path / "out")]) == 0


def test_infer_refuses_a_folder_in_use(tmp_path, hold, capsys):
    write_images(tmp_path / "in", "a.png")
    model = ["--model", str(write_model(tmp_path)), "--weights", str(next(tmp_path.rglob("*.pth")))]
    command = [*model, "-i", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "--device", "cpu"]
    process = hold(tmp_path / "out")
    assert infer.main(command) == 2
    assert f"process {process.pid} on" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    _release(process)
    assert infer.main(command) == 0
