"""What `basicsr/train.py` and `basicsr/test.py` do: check, say what is running, start BasicSR's pipeline."""

import importlib
import os
import platform
import sys
import traceback
from argparse import Namespace
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType
from typing import Any

from prismsr.models.training.basicsr_patches import mkdir_and_rename, patch_basicsr
from prismsr.models.training.rank_agreement import choose_on_first, leave
from prismsr.models.training.run_options import (
    check_run,
    experiment_name,
    parse_arguments,
    parse_options,
    process_rank,
    read_options,
)
from prismsr.models.training.session import TrainingSession
from prismsr.models.training.several_runs import Job, run_several
from prismsr.models.training.signals import Interrupted, handle_signals
from prismsr.utils import plugins
from prismsr.utils.command_line import end_with_reader
from prismsr.utils.errors import NonFiniteError, OptionError, TrainingError, UserError
from prismsr.utils.folder_lock import folder_lock
from prismsr.utils.options.files import save_options
from prismsr.utils.options.problems import errors_among
from prismsr.utils.threads import choose_threads

import torch
from basicsr.utils import get_env_info
from torch import distributed

OK, FAILED, REFUSED, INTERRUPTED = 0, 1, 2, 130


def main(is_train: bool, root: str | os.PathLike[str], argv: Sequence[str] | None = None) -> int:
    """Train or test the option files of the command line.

    Args:
        is_train: train, or test.
        root: repository root: holds experiments/ and results/, and relative paths start there.
        argv: arguments without the program's name; default: those of this process.

    Returns:
        Exit code: 0 all went well, 1 a run failed, 2 an option file or flag is wrong and nothing was run, 130 Ctrl-C,
        143 SIGTERM, 141 nobody reads any more what is printed.
    """
    code = end_with_reader(lambda: _main(is_train, root, argv))
    leave(code)
    return code


def _main(is_train: bool, root: str | os.PathLike[str], argv: Sequence[str] | None) -> int:
    args = parse_arguments(argv)
    first = process_rank(args.launcher) == 0
    try:
        plugins.import_named(args.imports)
        if args.launcher == "none":  # otherwise the processes of one run would count each other
            choose_threads()
        if len(args.opt) > 1:
            return run_several(plan(args, Path(root), is_train), args)
        return _run_one(is_train, Path(root), argv, args.opt[0])
    except UserError as error:
        if first or not isinstance(error, OptionError):  # all processes see the same option file
            print(error, file=sys.stderr, flush=True)
        return FAILED if isinstance(error, TrainingError) else REFUSED
    except (Interrupted, KeyboardInterrupt) as stop:
        if first:
            print(f"Interrupted by {str(stop) or 'Ctrl-C'}: {' '.join(args.opt)}", file=sys.stderr, flush=True)
        return stop.exit_code if isinstance(stop, Interrupted) else INTERRUPTED


# ------------------------------------------------------------------------------------------------ one file


class Run:
    """One training or test: what stands in the place of BasicSR's option reading, and what it has read."""

    def __init__(self, argv: Sequence[str] | None) -> None:
        self.argv = argv
        self.name = "not yet known"
        self.banner = ""
        self.merged: dict[str, Any] = {}
        self.session = TrainingSession()
        self.held = ExitStack()
        """The lock of the folder, for the run's life (rank 0)."""

    def parse_options(self, root_path: str, is_train: bool = True) -> tuple[dict[str, Any], Any]:
        """Parse as prismsr.models.training.run_options does; then take the folder, and say what is running (rank 0).

        Raises:
            OptionError: all that is wrong with the option file or the flags.
            FolderInUseError: another run is writing to the experiment's folder, or to that of the results.
        """
        opt, args = parse_options(root_path, is_train, self.argv)
        folder = Path(opt["path"]["experiments_root" if is_train else "results_root"])
        choose_on_first(lambda: self.held.enter_context(folder_lock(folder)))
        self.name, self.merged, self.banner = opt["name"], args.merged, banner(opt)
        if opt["rank"] == 0:
            print(self.banner, *args.notes, sep="\n", flush=True)
        return opt, args

    def copy_opt_file(self, opt_file: str, experiments_root: str) -> None:
        """Keep the merged options with the experiment (rank 0)."""
        if not distributed.is_initialized() or distributed.get_rank() == 0:
            save_options(self.merged, Path(experiments_root) / Path(opt_file).name, self.banner)

    def hook_basicsr(self, is_train: bool) -> ModuleType:
        """Replace functions of basicsr.train or basicsr.test, by name, and return the module.

        parse_options (runs code in YAML, checks nothing), copy_opt_file (copies the one file, not what it inherits)
        and get_env_info (does not say which copy of which package is running). In training, mkdir_and_rename (see
        basicsr_patches) and the session's names too.
        """
        pipeline: Any = importlib.import_module("basicsr.train" if is_train else "basicsr.test")
        pipeline.parse_options = self.parse_options
        pipeline.copy_opt_file = self.copy_opt_file
        pipeline.get_env_info = lambda: self.banner + get_env_info()
        if is_train:
            pipeline.mkdir_and_rename = mkdir_and_rename
            self.session.hook(pipeline)
        return pipeline


def banner(opt: dict[str, Any]) -> str:
    """Return one line on what is running: versions and places of the packages, the device, and outside code."""
    device = f"CPU, {torch.get_num_threads()} threads"
    if opt["num_gpu"] != 0:
        device = f"{torch.cuda.get_device_name()} ({torch.cuda.device_count()} visible)"
    parts = [
        _package("PRISM-SR", "prismsr"),
        _package("BasicSR", "basicsr"),
        _package("torch", "torch"),
        f"Python {platform.python_version()}",
        f"{device}, {opt['world_size']} process{'es' if opt['world_size'] > 1 else ''}",
        *(f"with {name} ({file})" for name, file in plugins.imported.items()),
    ]
    return " | ".join(parts)


def _package(title: str, name: str) -> str:
    module = sys.modules[name]
    return f"{title} {module.__version__} ({Path(str(module.__file__)).parent})"


def _run_one(is_train: bool, root: Path, argv: Sequence[str] | None, file: str) -> int:
    patch_basicsr()
    run = Run(argv)
    pipeline = run.hook_basicsr(is_train)
    try:
        with handle_signals():
            (pipeline.train_pipeline if is_train else pipeline.test_pipeline)(str(root))
    except NonFiniteError:
        run.session.save_skipped_step()
        raise
    except (UserError, BrokenPipeError):
        raise
    except Interrupted:
        if run.session.saved_iter is not None and run.session.opt["rank"] == 0:
            text = f"The checkpoint of iteration {run.session.saved_iter} is saved; go on with --auto_resume."
            print(text, file=sys.stderr, flush=True)
        raise
    except Exception as error:
        if distributed.is_initialized() and "Connection closed by peer" in str(error):
            print("Another process of this run has ended; its own message says why.", file=sys.stderr, flush=True)
            return FAILED
        traceback.print_exc()
        what = "Training" if is_train else "Testing"
        print(f"{what} failed: option file {file}, experiment {run.name}", file=sys.stderr, flush=True)
        return FAILED
    finally:
        run.session.close()
        run.held.close()
    return OK


# -------------------------------------------------------------------------------------------- several files


def plan(args: Namespace, root: Path, is_train: bool) -> list[Job]:
    """Check all option files before any of them runs.

    A pretrained network that an earlier file of the same command will make need not be there yet.

    Raises:
        OptionError: everything that is wrong with any of them, or two with the same experiment name.
    """
    messages: list[str] = []
    jobs: dict[str, Job] = {}
    for file in args.opt:
        try:
            loaded = read_options(file, args)
        except OptionError as error:
            messages.append(str(error))
            continue
        made = [str(root / "experiments" / name) + os.sep for name in jobs] if is_train else []
        problems = errors_among(check_run(loaded, file, args, str(root), is_train))
        messages += [str(problem) for problem in problems if not problem.missing.startswith(tuple(made))]
        name = experiment_name(loaded.options, args)
        if name in jobs:
            messages.append(f"error: {file}: name: {jobs[name].file} has the same, {name}")
        jobs.setdefault(name, Job(file, name, loaded.options.get("dist_params") or {}))
    if messages:
        raise OptionError("\n".join([*messages, "Nothing was run."]))
    return list(jobs.values())
