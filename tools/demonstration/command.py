"""Arguments and run of tools/demo.py: data, trainings, report; what is unchanged is reused."""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from prismsr.tools.reporting.demonstrations import FIRST, METHODS
from prismsr.utils.command_line import ROOT, fail
from prismsr.utils.files import set_aside

DATA = ROOT / "datasets" / "demo"
OPTIONS = ROOT / "options" / "demo"
THREADS = 2
"""Of all trainings that run at a time, however many cores there are: with other numbers sums end in other bits, and
hundreds of iterations make other figures of them."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("method", nargs="?", choices=METHODS, help="whose demo (default: L1, GAN, GAN + SSL)")


def run(args: argparse.Namespace) -> int:
    """Run a demo; returns 0, or the exit code of the step that failed."""
    from prismsr.tools.reporting.demo import write_report

    shown = METHODS[args.method] if args.method else FIRST
    out = ROOT / "results" / (f"demo_{args.method}" if args.method else "demo")
    start = time.time()
    try:
        seconds: dict[str, float] = {"data": _prepare_data(shown.prepare)}
        print_step("training")
        for files in shown.find_groups():
            seconds |= zip((Path(file).stem for file in files), _train_at_once(files), strict=True)
            for file in files:
                _export_autoencoder(OPTIONS / file)
    except subprocess.CalledProcessError as error:
        step = " ".join(map(str, error.cmd[1:]))
        code = error.returncode if error.returncode > 0 else 1
        return fail("demo.py", f"`{step}` failed with exit code {error.returncode}, see above", code)
    print_step("report")
    write_report(ROOT, out, shown, OPTIONS, seconds)
    place = out.relative_to(ROOT).as_posix()
    print(f"demo: done in {time.time() - start:.0f} s; see report.html and comparison.png in {place}")
    return 0


def print_step(name: str) -> None:
    """Print which part begins."""
    print(f"\n== demo: {name}", flush=True)


def _run(script: str, *arguments: str | Path, threads: int | None = None) -> None:
    shared = {} if threads is None else {"OMP_NUM_THREADS": str(threads)}
    command = [sys.executable, ROOT / script, *arguments]
    subprocess.run(command, check=True, cwd=ROOT, env={**shared, **os.environ})  # the user's own number wins


def _train_at_once(files: Sequence[str]) -> list[float]:
    """Train stages none of which builds on another, side by side with a share of the threads each; see `_train`.

    Small networks gain little from a second thread.
    """
    threads = max(1, THREADS // len(files))
    with ThreadPoolExecutor(len(files)) as pool:
        return list(pool.map(lambda file: _train(OPTIONS / file, threads), files))


def _prepare_data(further: Sequence[Sequence[str]] = ()) -> float:
    """Make the data sets of all demos, then those of this one; return the seconds."""
    print_step("data")
    start = time.time()
    prepare = "tools/prepare.py"
    _run(prepare, "photos", "-o", DATA)
    train, val = DATA / "train", DATA / "val"
    cut = ("subimages", "-i", train / "HR", "-o", train / "HR_sub", "--crop", "192", "--step", "96")
    _prepare_at_once(cut, ("downsample", "-i", val / "HR", "-o", val / "LR_x4", "--scale", "4"))
    _run(prepare, "downsample", "-i", train / "HR_sub", "-o", train / "LR_sub_x4", "--scale", "4")
    missing = [name for name in ("HR_sub", "LR_sub_x4") if not (train / f"{name}.lmdb").exists()]
    _prepare_at_once(*(("lmdb", "-i", train / name, "-o", train / f"{name}.lmdb") for name in missing))
    _run(prepare, "verify", train / "HR_sub.lmdb", "--lq", train / "LR_sub_x4.lmdb", "--scale", "4")
    for step in further:
        _run(prepare, *step)
    return round(time.time() - start, 1)


def _prepare_at_once(*steps: Sequence[str | Path]) -> None:
    """Run steps of tools/prepare.py none of which needs another."""
    with ThreadPoolExecutor(max(1, len(steps))) as pool:
        list(pool.map(lambda step: _run("tools/prepare.py", *step, threads=1), steps))


def _train(option_file: Path, threads: int) -> float:
    """Train unless this very stage is there already; return the seconds that its training took.

    One that was stopped goes on.
    """
    from prismsr.utils.options.files import load_options

    options = load_options(option_file)
    experiment = ROOT / "experiments" / options["name"]
    record, fingerprint = experiment / "demo.json", _hash_inputs(options)
    if record.exists() and (experiment / "models" / "net_g_latest.pth").exists():
        done = json.loads(record.read_text())
        if done["fingerprint"] == fingerprint:
            print(f"{options['name']}: unchanged, reused")
            return done["seconds"]
    start = time.time()
    begun = experiment.with_name(f".{experiment.name}.demo")
    if not begun.is_file() or begun.read_text() != fingerprint:
        if experiment.exists():  # of other options or data: it shall not be gone on with
            set_aside(experiment)
        begun.parent.mkdir(exist_ok=True)
        begun.write_text(fingerprint)
    _run("basicsr/train.py", "-opt", option_file, "--auto_resume", threads=threads)
    seconds = round(time.time() - start, 1)
    record.write_text(json.dumps({"fingerprint": fingerprint, "seconds": seconds}))
    return seconds


def _export_autoencoder(option_file: Path) -> None:
    """Write a stage's autoencoder as the folder that later stages read, unless it is there; other stages have none."""
    from prismsr.utils.options.files import load_options

    options = load_options(option_file)
    if options["network_g"]["type"] != "ImageAutoencoder":
        return
    folder = ROOT / "experiments" / options["name"]
    weights, made = folder / "models" / "net_g_latest.pth", folder / "vae" / "diffusion_pytorch_model.safetensors"
    if not made.is_file() or made.stat().st_mtime < weights.stat().st_mtime:
        images = ("--images", DATA / "train" / "HR")
        _run("tools/export.py", "diffusers", "vae", "-opt", option_file, "-i", weights, "-o", made.parent, *images)


def _hash_inputs(options: dict[str, Any]) -> str:
    """Hash all that decides what a stage learns: options, training data, and the results of others that they name."""
    digest = hashlib.sha256(json.dumps(options, sort_keys=True).encode())
    for name in _find_names(options):
        for file in _list_files(ROOT / name):
            digest.update(file.read_bytes() if file.is_file() else b"")
    return digest.hexdigest()


def _list_files(place: Path) -> list[Path]:
    """Return what a file or folder holds; of an LMDB, whose bytes vary, the manifest with the checksums."""
    if (manifest := place / "manifest.json").is_file():
        return [manifest]
    return sorted(place.rglob("*")) if place.is_dir() else [place]


def _find_names(value: Any) -> list[str]:
    """Return all names of files and folders below experiments and datasets in an option file's values."""
    if isinstance(value, dict | list):
        return [name for part in (value.values() if isinstance(value, dict) else value) for name in _find_names(part)]
    return [value] if isinstance(value, str) and value.startswith(("experiments/", "datasets/")) else []
