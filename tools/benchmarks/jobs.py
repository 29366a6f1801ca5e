"""What tools/benchmark.py runs: the benchmarks, and the jobs that their processes measure."""

import argparse
import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from prismsr.tools.benchmarks import beside, cuda_parts, loader, pairs, turns
from prismsr.tools.benchmarks.cuda import run_cuda
from prismsr.tools.benchmarks.measure import time_run

import torch

COMPARISONS: dict[str, Callable[[argparse.Namespace], None]] = {
    **{name: partial(pairs.compare, name) for name in pairs.PAIRS},
    "gan-step": turns.compare_gan_step,
    "loader": loader.compare_loaders,
    "bsrgan": turns.compare_bsrgan,
    "beside": beside.compare_beside,
    "cuda": run_cuda,
}
"""Name of a benchmark -> the function that measures and prints."""
RUNS: dict[str, Callable[..., Callable[[], Any]]] = {
    **{name: pair.build for name, pair in pairs.PAIRS.items()},
    "beside": beside.build_steps,
}
"""Name of a job -> the function that prepares, and returns what is to be measured."""
ROWS: dict[str, Callable[..., Iterator[list[str]]]] = {
    "cuda-loss": cuda_parts.measure_loss,
    "cuda-step": cuda_parts.measure_steps,
    "cuda-sampling": cuda_parts.measure_sampling,
    "cuda-equal": cuda_parts.compare_losses,
    "cuda-resume": cuda_parts.compare_resumed,
}
"""Name of a job of `cuda` -> the function that yields rows of a table."""


def run_job(name: str, device: str = "", repeat: int = 5, **settings: Any) -> None:
    """Measure in this process and print the result as JSON: a mapping of a key of RUNS, or rows of ROWS as they come.

    The device "" is CUDA, or the CPU where there is none; of `repeat` runs the best counts. `settings` are the
    function's.
    """
    place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    if name in RUNS:
        print(json.dumps(time_run(RUNS[name](device=place, **settings), repeat, place)))
        return
    for row in ROWS[name](device=place, **settings):
        print(json.dumps(row), flush=True)
