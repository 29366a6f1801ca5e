"""Benchmark `lgcaa-full`: LGCAA at full size with random weights, a training step and sampling, part by part.

A training step is that of options/lgcaa/lgcaa_x4.yml, with the shift-tolerant AlexNet in LPIPS, which needs no
download. Random weights take the same time and memory as trained ones.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from prismsr.tools.benchmarks.lgcaa_parts import MODES
from prismsr.utils.tables import markdown_table

PARTS = ("step", "sampling", "memory")
CROP, RESULT = 256, 512
LARGE = (768, 2048)
NEEDED = {"step": 19.5e9, "sampling": 9e9, "memory": 9e9}
"""Bytes of memory that a part takes on a CPU at full size, batch 1."""
STEP_ROWS = {
    "VAE encoder": "VAE encoder",
    "DINO": "DINO",
    "E": "condition embedding E",
    "ControlNet": "ControlNet",
    "UNet": "UNet",
    "UNet/LGCAA": "of it LGCAA",
    "DPACM": "X_RGB's head and DPACM's losses",
    "noise loss": "noise loss",
    "backward": "backward",
    "backward/LGCAA": "of it LGCAA's forward again, by grad_checkpointing",
    "Adam": "Adam",
    "EMA": "moving average",
}
"""Paths of a PartClock in a training step, and what the table calls them."""
ONCE_ROWS = {"VAE encoder": "VAE encoder", "DINO": "DINO", "E": "condition embedding E", "VAE decoder": "VAE decoder"}
EACH_ROWS = {"ControlNet": "ControlNet", "UNet": "UNet", "UNet/LGCAA": "of it LGCAA"}
"""Paths of a PartClock in sampling: what is done once, and what at each step."""

Measure = Callable[..., dict[str, Any]]
Result = Mapping[str, Any]
Results = Sequence[Result]
Rows = dict[str, Callable[[Result], str]]
"""Title of each row of a table, and what stands in it of a result."""


class Plan(NamedTuple):
    """What to measure: runs of which the best counts, images in a step's batch, sampling steps, PARTS, key of SIZES."""

    repeat: int
    batch: int
    steps: int
    parts: Sequence[str]
    sizes: str = "full"


def make_plan(
    repeat: int, batch: int | None, steps: int | None, parts: Sequence[str] | None, sizes: str, cuda: bool
) -> Plan:
    """Return the plan for a machine: what is None becomes less where there is no CUDA device."""
    return Plan(
        repeat, batch or (16 if cuda else 1), steps or (40 if cuda else 2), parts or PARTS[: 3 if cuda else 2], sizes
    )


def compare_lgcaa(plan: Plan, measure: Measure, cuda: bool) -> None:
    """Print what the plan asks for, without and with LGCAA side by side.

    Args:
        plan: see Plan.
        measure: runs a workload in a process of its own; tools/benchmark_measure.py has it.
        cuda: whether there is a CUDA device.

    Raises:
        SystemExit: a CPU has less memory at hand than a part takes.
    """
    if not cuda:
        if plan.sizes == "full":
            require_memory(max(NEEDED[part] for part in plan.parts))
        print("No CUDA device: float32 on the CPU. A step or a sampling step of the full size takes tens of seconds.")
    precision = "bf16, gradient checkpointing" if cuda else "float32"
    settings = {"sizes": plan.sizes}
    if "step" in plan.parts:
        print(f"\nTraining step of {plan.batch} x {CROP}x{CROP}, {precision}; best of {plan.repeat}\n", flush=True)
        report_step(_measure_both(measure, "lgcaa-full-step", plan.repeat, size=CROP, batch=plan.batch, **settings))
    if "sampling" in plan.parts:
        runs = plan.repeat if cuda else 0  # on a CPU the run in parts is the only one that is timed
        print(f"\nSampling {RESULT}x{RESULT} from {RESULT // 4}x{RESULT // 4}, {plan.steps} steps\n", flush=True)
        report_sampling(_measure_both(measure, "lgcaa-full-sampling", runs, size=RESULT, steps=plan.steps, **settings))
    if "memory" in plan.parts:
        print("\nSampling in tiles, one step, with LGCAA\n", flush=True)
        report_memory([measure("lgcaa-full-memory", 0, size=side, steps=1, **settings) for side in LARGE], LARGE)


def _measure_both(measure: Measure, workload: str, repeat: int, **settings: Any) -> list[dict[str, Any]]:
    return [measure(workload, repeat, mode=mode, **settings) for mode in MODES]


def report_step(results: Results) -> None:
    """Print time and memory of a step, then its parts. Without LGCAA first, then with it."""
    rows: Rows = {
        "trained parameters": lambda one: f"{one['trained']:,}",
        "time": lambda one: _format_seconds(one["seconds"]),
        "peak memory": lambda one: _format_bytes(one["held"] + one["bytes"]),
        **{f"of it {name}": partial(_format_tensors, name=name) for name in results[0]["tensors"]},
        "of it the rest: activations, what Adam needs for a moment, libraries": lambda one: _format_bytes(
            one["held"] + one["bytes"] - sum(one["tensors"].values())
        ),
    }
    print_table("", rows, results)
    print("\nOne more step, each part waited for\n")
    there = {path: title for path, title in STEP_ROWS.items() if any(path in result["parts"] for result in results)}
    rows = {
        **{title: partial(_format_share, path=path) for path, title in there.items()},
        "the rest: clipping, noise": lambda one: f"{_find_rest(one):.1%}",
        "all": lambda one: _format_seconds(one["seconds_in_parts"]),
    }
    print_table("part", rows, results)


def report_sampling(results: Results) -> None:
    """Print what sampling an image takes, as report_step does."""
    steps = results[0]["steps"]
    rows: Rows = {
        f"all, {steps} steps": lambda one: _format_seconds(one["seconds"] or one["seconds_in_parts"]),
        "one step": partial(_format_parts, paths=("ControlNet", "UNet"), times=steps),
        **{title: partial(_format_parts, paths=(path,), times=steps) for path, title in EACH_ROWS.items()},
        **{title: partial(_format_parts, paths=(path,), times=1) for path, title in ONCE_ROWS.items()},
        "weights": lambda one: _format_bytes(one["held"]),
        "peak memory beyond them": lambda one: _format_bytes(one["bytes"]),
    }
    print_table("", rows, results)
    if steps != 40:
        print(f"\nMeasured with {steps} steps. The time of the option file's 40 was not measured.")


def report_memory(results: Results, sides: Sequence[int]) -> None:
    """Print the memory of sampling at several sides, and how many times the first one's each takes."""
    rows = []
    for result, side in zip(results, sides, strict=True):
        ratio, time = result["bytes"] / max(1, results[0]["bytes"]), _format_seconds(result["seconds_in_parts"])
        memory = [_format_bytes(result[key]) for key in ("held", "bytes")]
        rows.append([f"{side} x {side}", *memory, f"{ratio:.2f}", time])
    print(markdown_table(["pixels", "weights", "peak memory beyond them", "ratio", "time"], rows))


def print_table(title: str, rows: Rows, results: Results) -> None:
    """Print a Markdown table of two columns, without and with LGCAA; `rows` says what stands in each of its rows."""
    cells = [[name, *map(cell, results)] for name, cell in rows.items()]
    print(markdown_table([title, "without LGCAA", "with LGCAA"], cells), flush=True)


def require_memory(needed: float) -> None:
    """Raise SystemExit where Linux says that less memory than this, in bytes, can be had."""
    with suppress(OSError):
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        available = next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable")) * 1024
        if available < needed:
            raise SystemExit(
                f"benchmark.py: error: at full size this takes about {_format_bytes(needed)} of memory, "
                f"{_format_bytes(available)} are free. End other programs, take a larger machine, or leave out parts "
                "(--parts)."
            )


def _find_seconds(result: Result, path: str) -> float:
    return float(result["parts"].get(path, (0.0, 0))[0])


def _find_rest(result: Result) -> float:
    """Return the share of the time that is in no part."""
    known = sum(_find_seconds(result, path) for path in STEP_ROWS if "/" not in path)
    return max(0, 1 - known / float(result["seconds_in_parts"]))


def _format_share(result: Result, path: str) -> str:
    seconds = _find_seconds(result, path)
    return f"{seconds / result['seconds_in_parts']:.1%} ({_format_seconds(seconds)})" if seconds else "-"


def _format_parts(result: Result, paths: Sequence[str], times: int) -> str:
    return _format_seconds(sum(_find_seconds(result, path) for path in paths) / times)


def _format_tensors(result: Result, name: str) -> str:
    return _format_bytes(result["tensors"][name])


def _format_seconds(value: float) -> str:
    return f"{value:.3g} s" if value else "-"


def _format_bytes(value: float) -> str:
    return f"{value / 1e9:.2f} GB"
