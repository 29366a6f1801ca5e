import fcntl
import logging
import os
import pty
import re
import struct
import termios
from pathlib import Path

from prismsr.models.training.log import (
    TrainingLog,
    append_metrics,
    read_log,
    rows_up_to,
    truncate_log,
    write_log,
)

import pytest
from basicsr.utils import get_root_logger
from basicsr.utils.logger import MessageLogger


def _options(folder, total_iter=20):
    return {
        "name": "experiment",
        "path": {"experiments_root": str(folder)},
        "logger": {"print_freq": 1, "use_tb_logger": False},
        "train": {"total_iter": total_iter},
    }


def _values(iteration, gan_from=8):
    """What BasicSR's loop hands over; a discriminator joins later."""
    values = {
        "epoch": iteration // 5,
        "iter": iteration,
        "lrs": [1e-4 / 3, 2e-4],
        "time": 0.5,
        "data_time": 0.01 * iteration,
    }
    values |= {"l_g_pix": 0.1 / iteration, "images_per_second": 3.0 * iteration}
    if iteration >= gan_from:
        values |= {"l_d_real": 1 / 3 + iteration, "out_d_real": -1e-7 * iteration, "grad_g": float("nan")}
    return values


def _run(folder, first, last):
    log = TrainingLog(_options(folder), first - 1)
    for iteration in range(first, last + 1):
        log(_values(iteration))
        log.tick(iteration)
        if iteration % 5 == 0:
            for dataset in ("b", "a"):
                append_metrics(_options(folder), dataset, iteration, {"psnr": 20 + iteration / 7})
    log.close()
    return log


@pytest.fixture
def lines():
    """Messages that BasicSR's logger has written since the last look."""

    class Keep(logging.Handler):
        def emit(self, record):
            kept.append(record.getMessage())

    kept, handler, logger = [], Keep(), get_root_logger()
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield kept
    logger.setLevel(level)
    logger.removeHandler(handler)


# ------------------------------------------------------------------------------------------------ files


def test_losses_keep_every_digit_and_no_times(tmp_path):
    _run(tmp_path, 1, 9)
    text = (tmp_path / "losses.csv").read_text()
    assert text.splitlines()[0] == "iter,epoch,lr_0,lr_1,l_g_pix,l_d_real,out_d_real,grad_g"
    assert text.splitlines()[1] == f"1,0,{1e-4 / 3!r},0.0002,0.1,,,"
    rows = read_log(tmp_path / "losses.csv")
    assert [int(row["iter"]) for row in rows] == list(range(1, 10))
    assert all(float(row["l_g_pix"]) == 0.1 / int(row["iter"]) for row in rows)
    assert rows[7]["l_d_real"] == repr(1 / 3 + 8) and rows[7]["grad_g"] == "nan"
    assert rows_up_to(tmp_path / "losses.csv", 3) == rows[:3]
    assert rows_up_to(tmp_path / "losses.csv", 3, keep_equal=False) == rows[:2]


@pytest.mark.parametrize("killed", [6, 7, 9, 12])
@pytest.mark.parametrize("checkpoint", [5, 6])
def test_killed_and_resumed_is_the_same_file(tmp_path, killed, checkpoint):
    _run(tmp_path / "through", 1, 15)
    _run(tmp_path / "cut", 1, killed)
    for name in ("losses.csv", "metrics.csv"):
        with (tmp_path / "cut" / name).open("a") as file:
            file.write(f"{killed + 1},0,0.0")  # killed while writing
    _run(tmp_path / "cut", checkpoint + 1, 15)
    for name in ("losses.csv", "metrics.csv"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "through" / name).read_bytes()


def test_half_a_line_is_no_row(tmp_path):
    path = tmp_path / "losses.csv"
    path.write_text("iter,epoch,l_pix\n1,0,0.5\n2,0,0.25\n3,0,0.12")  # 0.125 was to be written
    assert [row["iter"] for row in read_log(path)] == ["1", "2"]
    path.write_text("iter,epo")
    assert read_log(path) == []
    assert read_log(tmp_path / "missing.csv") == []


def test_truncate(tmp_path):
    path = tmp_path / "metrics.csv"
    write_log(path, [{"iter": str(i), "dataset": 'a,"b"', "metric": "psnr", "value": "1.5"} for i in (2, 4, 6)])
    truncate_log(path, 4)
    assert [(row["iter"], row["dataset"]) for row in read_log(path)] == [("2", 'a,"b"'), ("4", 'a,"b"')]
    truncate_log(path, 4, keep_equal=False)
    assert [row["iter"] for row in read_log(path)] == ["2"]
    truncate_log(path, 0)
    assert not path.exists()
    truncate_log(path, 0)


def test_a_validation_that_is_repeated_replaces_its_rows(tmp_path):
    opt = _options(tmp_path)
    append_metrics(opt, "a", 5, {"psnr": 20.0, "ssim": 0.5})
    append_metrics(opt, "b", 5, {"psnr": 21.0})
    append_metrics(opt, "a", 10, {"psnr": 22.0})
    append_metrics(opt, "b", 5, {"psnr": 1 / 3})
    rows = [
        (row["iter"], row["dataset"], row["metric"], float(row["value"])) for row in read_log(tmp_path / "metrics.csv")
    ]
    assert sorted(rows) == [
        ("10", "a", "psnr", 22.0),
        ("5", "a", "psnr", 20.0),
        ("5", "a", "ssim", 0.5),
        ("5", "b", "psnr", 1 / 3),
    ]


# ------------------------------------------------------------------------------------------------ lines


def test_line_is_basicsrs(tmp_path, lines):
    values = _values(1)
    TrainingLog(_options(tmp_path))(values)
    assert values == _values(1)
    MessageLogger(_options(tmp_path), 0)(values)
    ours, theirs = (re.sub(r"eta: [^,]*,", "eta: -,", line) for line in lines)
    ours, added = re.subn(r"\[[\d.]+ it/s, waiting for data: \d+%, peak memory: \d+\.\d GB\] ", "", ours)
    assert added == 1
    assert ours == theirs and "l_g_pix: 1.0000e-01 images_per_second: 3.0000e+00" in ours


def test_remaining_time_after_resuming(tmp_path, lines):
    log = TrainingLog(_options(tmp_path, 1000), 600)
    log({**_values(601), "time": 2.0})
    assert "[eta: 0:13:18, time (data): 2.000" in lines[-1]  # 399 iterations of 2 s
    log.tick(601)
    log.start_time -= 30.0  # as though the next ten iterations had taken 30 s
    log(_values(611))
    assert "[eta: 0:19:27," in lines[-1]  # 389 iterations of 3 s


def test_remaining_time_though_the_clock_is_set_back(tmp_path, lines, monkeypatch):
    log = TrainingLog(_options(tmp_path, 1000), 600)
    log.tick(601)
    log.start_time -= 30.0
    monkeypatch.setattr("time.time", lambda: 0.0)
    log(_values(611))
    assert "[eta: 0:19:27," in lines[-1]


def test_tensorboard_gets_every_value(tmp_path):
    rows = []

    class Scalars:
        def add_scalar(self, *row):
            rows.append(row)

    TrainingLog(_options(tmp_path), 0, Scalars())(_values(2))
    assert rows[:2] == [("losses/l_g_pix", 0.05, 2), ("images_per_second", 6.0, 2)]
    assert rows[2:4] == [("speed/it_per_s", 2.0, 2), ("speed/waiting_for_data", 0.04, 2)]  # 0.5 s, 0.02 of them
    name, gigabytes, iteration = rows[4]
    assert (name, iteration, len(rows)) == ("speed/peak_memory_gb", 2, 5)
    assert gigabytes == 0 or 0.05 < gigabytes < 1000


# ------------------------------------------------------------------------------------------------ progress bar

TRAINING = """
import sys, time
import prismsr
from pathlib import Path
from prismsr.models.training.log import TrainingLog
from basicsr.utils import get_root_logger
opt = {"name": "experiment", "path": {"experiments_root": sys.argv[1]}, "train": {"total_iter": 30},
       "logger": {"print_freq": 1, "use_tb_logger": False}}
get_root_logger(log_file=sys.argv[1] + "/train.log")
log = TrainingLog(opt, 10)
for iteration in range(11, 31):
    if iteration % 5 == 0:
        log({"epoch": 0, "iter": iteration, "lrs": [1e-4], "l_pix": 1 / iteration, "grad_g": 1.0})
    log.tick(iteration)
    time.sleep(0.02)
log.close()
log.close()
get_root_logger().info("after the bar")
"""


def _lines_on_terminal(text):
    """What is left on each line of a terminal."""
    return [re.sub(r"\x1b\[[A-Z]", "", line.rstrip("\r").split("\r")[-1]).rstrip() for line in text.split("\n")]


def _on_terminal(server, folder):
    (folder / "training.py").write_text(TRAINING)
    main, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 120, 0, 0))
    run = server.start(folder, "script", "training.py", str(folder), log=Path(os.ttyname(terminal)))
    pieces = [os.read(main, 4096)]  # it has opened the terminal
    os.close(terminal)
    try:
        while piece := os.read(main, 4096):
            pieces.append(piece)
    except OSError:  # Linux: the other side is closed
        pass
    os.close(main)
    assert run.wait(60) and run.code == 0
    return b"".join(pieces).decode()


def test_bar_on_a_terminal_and_lines_above_it(launch_server, tmp_path):
    text = _on_terminal(launch_server, tmp_path)
    lines = _lines_on_terminal(text)
    logged = [line for line in lines if "iter:" in line and "epoch" in line]
    assert len(logged) == 4 and all(re.match(r"\d{4}-\S+ \S+ INFO: \[exper\.\.\]\[epoch:", line) for line in logged)
    assert all("it/s" not in line and "%|" not in line for line in logged)
    (bar,) = [line for line in lines if "%|" in line]
    assert bar.startswith("experiment: 100%|") and "30/30" in bar and "l_pix=3.333e-02" in bar and "grad" not in bar
    assert " 10/30 " in text
    assert any(line.endswith("INFO: after the bar") for line in lines)
    kept = (tmp_path / "train.log").read_text()
    assert kept.count("epoch:") == 4 and "|" not in kept


def test_plain_lines_elsewhere(launch_server, tmp_path):
    code, output = launch_server.run_code(tmp_path, TRAINING, str(tmp_path))
    assert code == 0 and output.count("epoch:") == 4 and "|" not in output and "\r" not in output
