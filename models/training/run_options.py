"""Flags and option file of one run, in the form BasicSR's pipelines expect, read safely and checked."""

import argparse
import os
import random
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

from prismsr.utils.errors import OptionError
from prismsr.utils.options.check import DATA_PATHS
from prismsr.utils.options.files import LoadedOptions, apply_overrides, load_options, load_with_lines, resolve_path
from prismsr.utils.options.problems import Problem, errors_among, report
from prismsr.utils.plugins import add_import
from prismsr.utils.weights.network_files import check_with_files

import torch
from basicsr.utils import dist_util, set_random_seed

__all__ = ["load_options", "parse_arguments", "parse_options"]

TORCHRUN = ("RANK", "WORLD_SIZE", "LOCAL_RANK")


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line of the launchers, by default this process's; `opt` is the list of option files."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("-opt", nargs="+", required=True, metavar="FILE", help="option file(s), run one after another")
    parser.add_argument(
        "--launcher", choices=["none", "pytorch", "slurm"], help="default: pytorch under torchrun, else none"
    )
    parser.add_argument("--auto_resume", action="store_true", help="go on from the newest training state")
    parser.add_argument("--debug", action="store_true", help="validate and save every 8 iterations")
    parser.add_argument("--local_rank", "--local-rank", type=int, default=0, help="set by torch.distributed.launch")
    parser.add_argument(
        "--force_yml", nargs="+", metavar="KEYS=VALUE", help="change options, e.g. train:ema_decay=0.999"
    )
    parser.add_argument("--fail-fast", action="store_true", help="with several files: stop at the first that fails")
    add_import(parser)
    args = parser.parse_args(argv)
    if args.launcher is None:
        args.launcher = "pytorch" if all(name in os.environ for name in TORCHRUN) else "none"
    return args


def process_rank(launcher: str) -> int:
    """Rank of this process from the launcher's environment, known before torch.distributed starts."""
    variable = {"pytorch": "RANK", "slurm": "SLURM_PROCID"}.get(launcher, "")
    return int(os.environ.get(variable, "0"))


def read_options(file: str, args: argparse.Namespace) -> LoadedOptions:
    """Load one option file and apply `--force_yml` to it; OptionError where either cannot be done."""
    loaded = load_with_lines(file)
    apply_overrides(loaded, args.force_yml or [])
    return loaded


def check_run(loaded: LoadedOptions, file: str, args: argparse.Namespace, root: str, is_train: bool) -> list[Problem]:
    """Check the options of a run on this machine: everything check_options sees, and the number of GPUs.

    A network that is named by a file (`from`) is replaced in `loaded` by its type and arguments.
    """
    problems = check_with_files(loaded, file, root, is_train=is_train)
    wanted, there = loaded.options.get("num_gpu"), torch.cuda.device_count()
    # under a launcher, several machines may have them together
    if isinstance(wanted, int) and wanted > there and (args.launcher == "none" or there == 0):
        text = f"is {wanted}, but this machine has {there} CUDA device{'' if there == 1 else 's'}"
        problems.append(Problem("num_gpu", f"{text}; set it to auto or 0", where=loaded.lines.get("num_gpu", file)))
    return problems


def experiment_name(options: dict[str, Any], args: argparse.Namespace) -> str:
    """Name of the experiment's folder; `--debug` marks it."""
    name = str(options.get("name"))
    return f"debug_{name}" if args.debug and not name.startswith("debug") else name


def parse_options(
    root_path: str, is_train: bool = True, argv: Sequence[str] | None = None
) -> tuple[dict[str, Any], argparse.Namespace]:
    """Read flags and option file, check everything, start torch.distributed and seed the random generators.

    Takes the place of basicsr.utils.options.parse_options and returns the same keys, with these differences: relative
    paths are made absolute from root_path, sections set to null are left out, and each dataset gets `manual_seed`. The
    flags have two more attributes: `merged`, the options as the files say them with the seed in use, and `notes`, what
    the check found worth knowing.

    Args:
        root_path: folder that holds experiments/ and results/, where relative paths start from.
        is_train: whether the file is for training or for testing.
        argv: arguments without the program's name; default: those of this process.

    Raises:
        OptionError: all that is wrong with the option file or the flags.
    """
    args = parse_arguments(argv)
    if len(args.opt) != 1:
        raise OptionError(f"-opt names {len(args.opt)} files where one is wanted: {' '.join(args.opt)}")
    args.opt = args.opt[0]
    loaded = read_options(args.opt, args)
    problems = check_run(loaded, args.opt, args, root_path, is_train)
    if errors_among(problems):
        raise OptionError(report(problems))
    opt = deepcopy(loaded.options)
    _drop_null_sections(opt)
    _start_distributed(opt, args.launcher)
    opt.update(auto_resume=args.auto_resume, is_train=is_train, name=experiment_name(opt, args))
    _seed(opt, Path(root_path, "experiments", opt["name"], Path(args.opt).name) if args.auto_resume else None)
    if opt["num_gpu"] == "auto":
        opt["num_gpu"] = torch.cuda.device_count()
    _complete_datasets(opt, root_path)
    _complete_paths(opt, root_path)
    if is_train and "debug" in opt["name"]:
        if "val" in opt:
            opt["val"]["val_freq"] = 8
        opt["logger"].update(print_freq=1, save_checkpoint_freq=8)
    args.merged = {**loaded.options, "manual_seed": opt["manual_seed"]}
    args.notes = problems
    return opt, args


def _drop_null_sections(opt: dict[str, Any]) -> None:
    # BasicSR goes through these mappings without expecting a null, which here takes back an inherited entry.
    opt["path"] = opt.get("path") or {}
    val, train = opt.get("val") or {}, opt.get("train") or {}
    for section in (opt["datasets"], val.get("metrics") or {}, train.get("losses") or {}):
        for key in [key for key, value in section.items() if value is None]:
            del section[key]
    for key in [key for key in opt if (key == "val" or key.startswith("network_")) and opt[key] is None]:
        del opt[key]


def _start_distributed(opt: dict[str, Any], launcher: str) -> None:
    opt["dist"] = launcher != "none"
    if opt["dist"]:
        parameters = {key: value for key, value in (opt.get("dist_params") or {}).items() if value is not None}
        if parameters.get("backend") == "nccl" and not torch.cuda.is_available():  # as in every file of BasicSR's
            del parameters["backend"]
        try:
            dist_util.init_dist(launcher, **parameters)
        except ValueError as error:
            raise OptionError(f"--launcher {launcher}: {error}") from error
    opt["rank"], opt["world_size"] = dist_util.get_dist_info()


def _seed(opt: dict[str, Any], kept: Path | None) -> None:
    seed = opt.get("manual_seed")
    if seed is None:
        # a resumed run goes on with the seed that was drawn when it began
        before = load_options(kept).get("manual_seed") if kept is not None and kept.is_file() else None
        drawn = [before or random.SystemRandom().randint(1, 10000)]
        if opt["dist"]:  # all ranks have to agree on the order of the samples
            torch.distributed.broadcast_object_list(drawn, src=0)
        seed = drawn[0]
    opt["manual_seed"] = seed
    set_random_seed(seed + opt["rank"])


def _complete_datasets(opt: dict[str, Any], root: str) -> None:
    for key, dataset in opt["datasets"].items():
        dataset["phase"] = key.split("_")[0]  # val_1, val_2, ...
        dataset["manual_seed"] = opt["manual_seed"]
        if "scale" in opt:
            dataset["scale"] = opt["scale"]
        for name, value in dataset.items():
            if name.startswith(DATA_PATHS) and isinstance(value, str) and value:
                dataset[name] = resolve_path(value, root)


def _complete_paths(opt: dict[str, Any], root: str) -> None:
    path = opt["path"]
    for key, value in path.items():
        if value and (key == "resume_state" or key.startswith("pretrain_network")):
            path[key] = resolve_path(value, root)
    if opt["is_train"]:
        folder = os.path.join(root, "experiments", opt["name"])
        path["experiments_root"] = folder
        path["models"] = os.path.join(folder, "models")
        path["training_states"] = os.path.join(folder, "training_states")
    else:
        folder = os.path.join(root, "results", opt["name"])
        path["results_root"] = folder
        opt["val"].setdefault("suffix", None)  # BasicSR asks for it without a default
    path["log"] = folder
    path["visualization"] = os.path.join(folder, "visualization")
