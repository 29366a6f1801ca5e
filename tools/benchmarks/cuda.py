"""Benchmark `cuda`: what a GPU makes of losses, training steps and sampling; tables as docs/develop/benchmarks.md has.

Each job runs in a process of its own, which prints a row when it has one. A row is written at once. What fails says so
in its row, and the others go on.
"""

import json
import subprocess
import sys
import threading
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, NamedTuple

from prismsr.tools.benchmarks.command import CUDA_PARTS
from prismsr.tools.benchmarks.measure import PROGRAM, format_header, format_row
from prismsr.utils.errors import OptionError

import torch

FILES = {
    "full": (
        *("ssl/esrgan_ssl_x4.yml", "ssl/realesrgan_ssl_x4.yml", "ssl/swinirgan_ssl_x4.yml", "sfd/rrdb_sfd_x4.yml"),
        *("amo/resrgan_upos_ft_x4.yml", "lgcaa/lgcaa_x4.yml", "diffusion/stablesr_ssl_x4.yml"),
        *("diffusion/resshift_ssl_x4.yml", "diffusion/diffir_ssl_x4.yml"),
    ),
    "tiny": ("demo/gan_ssl_x4.yml", "demo/resshift_ssl_tiny.yml"),
}
"""Option files whose step is measured."""
SAMPLED = {
    "full": ("lgcaa/lgcaa_x4.yml", "diffusion/stablesr_x4.yml", "diffusion/resshift_x4.yml"),
    "tiny": ("demo/resshift_ssl_tiny.yml",),
}
LOSS_SIZES = {"full": ((16, 128), (12, 256)), "tiny": ((1, 32),)}
"""Images and their side."""


class Part(NamedTuple):
    """A table: its title, its columns, and the arguments of its jobs, the first of which names a row that fails."""

    title: str
    columns: tuple[str, ...]
    jobs: Callable[[str], list[dict[str, Any]]]


PARTS: dict[str, Part] = {
    "loss": Part(
        "The self-similarity loss, value and gradient",
        ("images", "stride", "mask pixels", "by", "time", "extra peak memory", "value differs", "gradient differs"),
        lambda sizes: [{"batch": count, "size": side} for count, side in LOSS_SIZES[sizes]],
    ),
    "equal": Part(
        "Losses on the device beside the CPU's, float32",
        ("loss", "value differs", "gradient differs"),
        lambda sizes: [{}],
    ),
    "resume": Part(
        "Six steps, and three that are resumed for three more",
        ("what", "tensors", "equal bit for bit", "largest difference"),
        lambda sizes: [{}],
    ),
    "step": Part(
        "Training steps on made-up batches, random weights",
        ("option file", "run", "batch", "it/s", "peak memory", "SSL, share of the step", "waits a step", "left out"),
        lambda sizes: [{"file": file, "sizes": sizes} for file in FILES[sizes]],
    ),
    "sampling": Part(
        "Sampling one image, random weights",
        ("option file", "pixels", "steps", "time", "peak memory"),
        lambda sizes: [{"file": file, "sizes": sizes} for file in SAMPLED[sizes]],
    ),
}
assert tuple(PARTS) == CUDA_PARTS


def run_cuda(args: Namespace) -> None:
    """Measure what `args.parts` names, all by default, and write it to `args.out`; OptionError without CUDA or
    --device.
    """
    device = args.device or "cuda"
    if device == "cuda" and not torch.cuda.is_available():
        raise OptionError("there is no CUDA device here; --device cpu --tiny tries the command")
    end = time.monotonic() + 60 * args.minutes
    with Path(args.out).open("w", encoding="utf8") as file:

        def write(line: str) -> None:
            print(line, flush=True)
            file.write(line + "\n")
            file.flush()

        write(describe_software(device))
        for name in args.parts or PARTS:
            part = PARTS[name]
            write(f"\n## {part.title}\n\n{format_header(*part.columns)}")
            for job in part.jobs("tiny" if args.tiny else "full"):
                for row in run_job(name, {**job, "device": device}, end):
                    write(format_row(*row, *[""] * (len(part.columns) - len(row))))


def run_job(part: str, settings: dict[str, Any], end: float) -> Iterator[list[str]]:
    """Yield the rows of a job of a key of PARTS as it prints them, and one that says what went wrong.

    The first of the job's settings is the title of a row that fails. At `end`, by time.monotonic, it is ended.
    """
    title = str(next(iter(settings.values())))
    left = end - time.monotonic()
    if left <= 0:
        yield [title, "not run: the time is over (--minutes)"]
        return
    command = [*PROGRAM, json.dumps({"name": f"cuda-{part}", **settings})]
    with TemporaryFile("w+") as told, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=told) as process:
        assert process.stdout is not None
        timer = threading.Timer(left, process.kill)
        timer.start()
        for line in process.stdout:
            if line.startswith(b"["):
                yield json.loads(line)
        code = process.wait()
        timer.cancel()
        told.seek(0)
        last = told.read().splitlines()[-1:] or [f"exit code {code}"]
    if code:
        reason = "the time is over (--minutes)" if time.monotonic() >= end else last[0]
        yield [title, f"ended: {reason.strip()[:160]}"]


def describe_software(device: str) -> str:
    """Return the line that tells where the tables come from."""
    from prismsr.losses.self_similarity.triton_loss import triton_version

    where = torch.cuda.get_device_name() if device == "cuda" else "a CPU"
    triton = ".".join(map(str, triton_version())) if triton_version() > (0,) else "none"
    python = ".".join(map(str, sys.version_info[:3]))
    return f"{time.strftime('%Y-%m-%d')}, {where}, Python {python}, torch {torch.__version__}, Triton {triton}"
