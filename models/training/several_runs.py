"""Run several option files one after another, each in a process of its own, and tell at the end how each went."""

import os
import signal
import subprocess
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, NamedTuple

from prismsr.models.training.launcher_ranks import Alone, Ranks, meet

INTERRUPTED = 130
PATIENCE = 25.0
"""Seconds a process is given to save and end after a signal; torchrun gives its own 30."""


class Job(NamedTuple):
    """One option file to run, with its experiment's name."""

    file: str
    name: str
    dist_params: dict[str, Any]


class Outcome(NamedTuple):
    """How a job went."""

    job: Job
    result: str
    seconds: float | None = None
    code: int | None = None


def run_several(jobs: Sequence[Job], args: Namespace) -> int:
    """Run the jobs, already checked, in order and print a table of their outcomes.

    A job that fails does not keep the rest from running, except with `--fail-fast`. Under torchrun or slurm each
    process does the same, and they wait for each other between the jobs. `args`, flags of the launcher, are passed on
    to each job.

    Return the exit code: 0 if all jobs succeeded, 130 after Ctrl-C, else 1.
    """
    outcomes: list[Outcome] = []
    with _terminable(), meet(args.launcher, jobs[0].dist_params) as ranks:
        try:
            for index, job in enumerate(jobs):
                if args.fail_fast and any(outcome.code for outcome in outcomes):
                    outcomes.append(Outcome(job, "not run"))
                    continue
                _say(ranks, f"[{index + 1}/{len(jobs)}] {job.file}: {job.name}")
                start = time.monotonic()
                code = _run(job, args, ranks, index)
                outcomes.append(Outcome(job, "failed" if code else "ok", time.monotonic() - start, code))
        except KeyboardInterrupt:
            outcomes.append(Outcome(jobs[len(outcomes)], "interrupted", time.monotonic() - start, INTERRUPTED))
            outcomes += [Outcome(job, "not run") for job in jobs[len(outcomes) :]]
        _say(ranks, format_outcomes(outcomes))
    codes = [outcome.code for outcome in outcomes]
    return INTERRUPTED if INTERRUPTED in codes and "interrupted" in {o.result for o in outcomes} else int(any(codes))


def format_outcomes(outcomes: Sequence[Outcome]) -> str:
    """Return outcomes as aligned text, one line each below a heading."""
    rows = [("file", "experiment", "result", "seconds", "exit code")]
    for outcome in outcomes:
        seconds = "" if outcome.seconds is None else f"{outcome.seconds:.1f}"
        code = "" if outcome.code is None else str(outcome.code)
        rows.append((outcome.job.file, outcome.job.name, outcome.result, seconds, code))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def _say(ranks: Alone | Ranks, text: str) -> None:
    if ranks.rank == 0:
        print(text, flush=True)


# ------------------------------------------------------------------------------------------- one child process


def _run(job: Job, args: Namespace, ranks: Alone | Ranks, index: int) -> int:
    port = ranks.port(index)
    environment = dict(os.environ)
    overrides = list(args.force_yml or [])
    if port is not None:
        # torchrun's store keeps the keys of the first job, so that each job gets a store at a port of its own
        environment.update(MASTER_PORT=str(port), TORCHELASTIC_USE_AGENT_STORE="False")
        overrides += [f"dist_params:port={port}"] if "port" in job.dist_params else []
    child = subprocess.Popen(build_command(job.file, args, overrides), env=environment)
    code = _wait(child, lambda: ranks.others_failed(index))
    return ranks.agree(index, code)


def build_command(file: str, args: Namespace, overrides: Sequence[str]) -> list[str]:
    """Return command line of the process that runs one file with the flags of this one."""
    flags = ["--launcher", args.launcher, "--local_rank", str(args.local_rank)]
    flags += [f"--{flag}" for flag in ("auto_resume", "debug") if getattr(args, flag)]
    flags += ["--force_yml", *overrides] if overrides else []
    return [sys.executable, sys.argv[0], "-opt", file, *flags]


def _wait(child: "subprocess.Popen[bytes]", others_failed: Callable[[], bool]) -> int | None:
    """Exit code of the child; None where it had to be ended because another process's child failed."""
    try:
        while not others_failed():
            try:
                return child.wait(timeout=0.5)
            except subprocess.TimeoutExpired:
                continue
        _end(child, signal.SIGTERM, signal.SIGKILL)
        return None
    except KeyboardInterrupt:  # from a terminal the child has got it as well, and takes both for one
        _end(child, signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
        raise
    except BaseException:
        _end(child, signal.SIGTERM, signal.SIGKILL)
        raise


def _end(child: "subprocess.Popen[bytes]", *signals: signal.Signals) -> None:
    try:
        for number in signals:
            child.send_signal(number)
            with suppress(subprocess.TimeoutExpired):
                child.wait(timeout=PATIENCE)
                return
    except KeyboardInterrupt:  # a second Ctrl-C
        child.kill()
        child.wait()
        raise


@contextmanager
def _terminable() -> Iterator[None]:
    # torchrun and slurm end their processes with SIGTERM; the child has to end with us
    def leave(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
