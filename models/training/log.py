"""What a training leaves behind to read: BasicSR's log lines, a progress bar on a terminal, losses.csv, metrics.csv.

Both files hold rows in the order of the iterations and no times, so that a run that was killed and resumed writes, byte
for byte, the files of one that ran through. A row counts once its line has ended.
"""

import datetime
import os
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from prismsr.utils.csv_files import append_rows, parse_finished, write_rows

import torch
from basicsr.utils.dist_util import get_dist_info
from basicsr.utils.logger import MessageLogger
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

LOSSES = "losses.csv"
METRICS = "metrics.csv"
VALUE_PREFIXES = ("l_", "out_", "grad_")  # other figures of a log line (times) differ from run to run

Row = dict[str, str]


# ------------------------------------------------------------------------------------------------ files


def read_log(path: Path) -> list[Row]:
    """Return rows of a log file, each cell by its column; none where the file is missing.

    Rows that a kill cut short are left out.
    """
    try:
        text = path.read_text(encoding="utf8", errors="replace")
    except FileNotFoundError:
        return []
    lines = parse_finished(text)
    if not lines:
        return []
    columns = lines[0]
    rows = (dict(zip(columns, cells, strict=True)) for cells in lines[1:] if len(cells) == len(columns))
    return [row for row in rows if row.get("iter", "").isdecimal()]


def rows_up_to(path: Path, iteration: int, *, keep_equal: bool = True) -> list[Row]:
    """Return rows of a log file whose `iter` is at most `iteration` (`keep_equal=False`: below it)."""
    last = iteration if keep_equal else iteration - 1
    return [row for row in read_log(path) if int(row["iter"]) <= last]


def truncate_log(path: Path, iteration: int, *, keep_equal: bool = True) -> None:
    """Bring a log file back to what it was after `iteration`; a file without a row left is removed.

    Args:
        path: losses.csv or metrics.csv; may be missing.
        iteration: rows of later iterations go.
        keep_equal: whether the rows of `iteration` itself stay.
    """
    rows = rows_up_to(path, iteration, keep_equal=keep_equal)
    if rows:
        write_log(path, rows)
    else:
        path.unlink(missing_ok=True)


def write_log(path: Path, rows: Sequence[Row]) -> None:
    """Write rows atomically: columns in the order in which they appear, a cell that a row lacks is empty.

    A column without a value is left out: it belonged to rows that are gone.
    """
    columns = list(dict.fromkeys(column for row in rows for column in row))
    columns = [column for column in columns if any(row.get(column) for row in rows)]
    write_rows(path, columns, ([row.get(column, "") for column in columns] for row in rows))


def append_metrics(
    opt: Mapping[str, Any],
    dataset: str,
    iteration: int,
    results: Mapping[str, float],
    counts: Mapping[str, int] | None = None,
) -> None:
    """Add a validation to experiments/NAME/metrics.csv, in the place of an earlier one of the same iteration.

    Args:
        opt: the run's options; path.experiments_root is used.
        dataset: name of the validation set.
        iteration: iteration of the training.
        results: mean of each metric.
        counts: number of images that a mean is over, where it is not over all: the column `images`.

    Raises:
        OSError: the file cannot be written.
    """
    path = Path(opt["path"]["experiments_root"]) / METRICS
    again = {"iter": str(iteration), "dataset": dataset}
    rows = [row for row in read_log(path) if not again.items() <= row.items()]
    for metric, value in results.items():
        row = {**again, "metric": metric, "value": repr(float(value))}
        rows.append(row | ({"images": str(counts[metric])} if counts and metric in counts else {}))
    write_log(path, rows)


class LossFile:
    """losses.csv: iter, epoch, lr_0, ..., and every loss.

    Args:
        path: the file; rows after `start_iter` are removed.
        start_iter: iteration after which this run starts.
    """

    def __init__(self, path: Path, start_iter: int) -> None:
        self.path = path
        truncate_log(path, start_iter)
        self.columns = list(next(iter(read_log(path)), {}))

    def append(self, row: Row) -> None:
        """Add a row; a column that was not there before is empty in the rows above."""
        new = [column for column in row if column not in self.columns]
        if new:
            self.columns += new
            write_log(self.path, [*read_log(self.path), row])
            return
        append_rows(self.path, [[row.get(column, "") for column in self.columns]])


# ------------------------------------------------------------------------------------------------ logger


class TrainingLog(MessageLogger):
    """Stands in for BasicSR's MessageLogger: the same lines, with losses.csv and, on a terminal, a progress bar.

    The remaining time is computed from the iterations that this process did; BasicSR's is wrong after resuming.
    losses.csv and metrics.csv are brought back to `start_iter` (rank 0).

    Args:
        opt: the run's options.
        start_iter: iteration after which this run starts; 0 for a new one.
        tb_logger: TensorBoard's SummaryWriter, or None.
    """

    def __init__(self, opt: dict[str, Any], start_iter: int = 0, tb_logger: Any = None) -> None:
        super().__init__(opt, start_iter, tb_logger)
        self.max_iters = int(opt["train"]["total_iter"])
        self._clock_iter: int | None = None  # the iteration after which start_time was taken
        self._bar: tqdm | None = None
        self._cleanup = ExitStack()
        self._first = get_dist_info()[0] == 0
        self._folder = folder = Path(opt["path"]["experiments_root"])
        if not self._first:
            return
        self._losses = LossFile(folder / LOSSES, start_iter)
        truncate_log(folder / METRICS, start_iter)
        if sys.stderr.isatty():
            self._open_bar()

    def _open_bar(self) -> None:
        # the handler that writes to the terminal is replaced by one that clears the bar, writes, and draws it again
        self._cleanup.enter_context(logging_redirect_tqdm([self.logger]))
        self._bar = tqdm(
            total=self.max_iters, initial=self.start_iter, desc=self.exp_name, unit="iter", dynamic_ncols=True
        )
        self._cleanup.callback(self._bar.close)

    def reset_start_time(self) -> None:
        """Start the clock of the remaining time anew; BasicSR calls it after the first iteration of a new run."""
        self.start_time, self._clock_iter = time.monotonic(), self.start_iter + 1  # not the clock that can be set

    def tick(self, current_iter: int) -> None:
        """Tell that `current_iter` is done: moves the progress bar."""
        if self._clock_iter is None:  # the first iteration of a resumed run is slow as well
            self.start_time, self._clock_iter = time.monotonic(), current_iter
        if self._bar is not None:
            self._bar.update(current_iter - self._bar.n)

    def sync(self) -> None:
        """Let the rows so far reach the disk, so that no power cut takes those of a checkpoint away."""
        for path in (self._folder / LOSSES, self._folder / METRICS):
            if self._first and path.is_file():
                with path.open("rb") as file:
                    os.fsync(file.fileno())

    def close(self) -> None:
        """End the progress bar and give the logger its handler back; may be called twice."""
        self._bar = None
        self._cleanup.close()

    def __call__(self, log_vars: dict[str, Any]) -> None:
        """Write a line to the log, a row to losses.csv and the values to TensorBoard (rank 0).

        Args:
            log_vars: `iter`, `epoch`, `lrs` (one learning rate for each parameter group), `time` and `data_time`
                (seconds per iteration; may be missing), and the values by name.

        Raises:
            OSError: losses.csv cannot be written.
        """
        if not self._first:
            return
        values = dict(log_vars)
        epoch, current_iter, lrs = values.pop("epoch"), values.pop("iter"), values.pop("lrs")
        times = values.pop("time", None), values.pop("data_time", None)
        row = {"iter": str(current_iter), "epoch": str(epoch)}
        row |= {f"lr_{number}": repr(float(lr)) for number, lr in enumerate(lrs)}
        row |= {name: repr(float(value)) for name, value in values.items() if name.startswith(VALUE_PREFIXES)}
        self._losses.append(row)
        speed = _describe_speed(*times)
        self._write_tensorboard({**values, **speed}, current_iter)
        if self._bar is not None:
            self._bar.set_postfix(
                {name: f"{v:.3e}" for name, v in values.items() if name.startswith("l_")}, refresh=False
            )
        rates = "".join(f"{lr:.3e}," for lr in lrs)
        message = f"[{self.exp_name[:5]}..][epoch:{epoch:3d}, iter:{current_iter:8,d}, lr:({rates})] "
        if times[0] is not None:
            message += (
                f"[eta: {self._remaining(current_iter, times[0])}, time (data): {times[0]:.3f} ({times[1]:.3f})] "
                f"[{speed['speed/it_per_s']:.3g} it/s, waiting for data: {speed['speed/waiting_for_data']:.0%}, "
                f"peak memory: {speed['speed/peak_memory_gb']:.1f} GB] "
            )
        self.logger.info(message + "".join(f"{name}: {value:.4e} " for name, value in values.items()))

    def _remaining(self, current_iter: int, iter_time: float) -> datetime.timedelta:
        done = 0 if self._clock_iter is None else current_iter - self._clock_iter
        seconds = (time.monotonic() - self.start_time) / done if done > 0 else iter_time
        return datetime.timedelta(seconds=int(seconds * (self.max_iters - current_iter)))

    def _write_tensorboard(self, values: Mapping[str, float], current_iter: int) -> None:
        if self.tb_logger is None:
            return
        for name, value in values.items():
            self.tb_logger.add_scalar(f"losses/{name}" if name.startswith("l_") else name, value, current_iter)


def _describe_speed(iter_time: float | None, data_time: float | None) -> dict[str, float]:
    """Return iterations a second, the share of time that waits for data, and the peak memory in GB of 10^9 bytes.

    Memory is that of tensors on this process's GPU, or where there is none that of the process.
    """
    if iter_time is None or data_time is None:
        return {}
    seconds = max(iter_time, 1e-9)
    return {
        "speed/it_per_s": 1 / seconds,
        "speed/waiting_for_data": data_time / seconds,
        "speed/peak_memory_gb": _peak_memory() / 1e9,
    }


def _peak_memory() -> int:
    if torch.cuda.is_initialized():
        return torch.cuda.max_memory_allocated()
    try:
        from resource import RUSAGE_SELF, getrusage
    except ImportError:  # Windows
        return 0
    return getrusage(RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
