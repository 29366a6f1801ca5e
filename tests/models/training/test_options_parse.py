"""parse_options: the keys BasicSR's own gives, and what is added to them."""

import random
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

from prismsr.models.training.run_options import parse_arguments, parse_options, process_rank
from prismsr.utils.errors import OptionError

import basicsr.utils.options
import numpy as np
import pytest
import torch
import yaml

Write = Callable[..., Path]


@pytest.fixture
def stock(experiment: dict[str, Any], workplace: Path) -> dict[str, Any]:
    """An experiment with BasicSR's own classes and absolute paths, which BasicSR's parse_options reads as well."""
    images = {
        "type": "PairedImageDataset",
        "dataroot_gt": str(workplace / "data/gt"),
        "dataroot_lq": str(workplace / "data/lq"),
        "io_backend": {"type": "disk"},
    }
    for dataset in experiment["datasets"].values():
        dataset.update(images)
    experiment["datasets"]["val_2"] = deepcopy(experiment["datasets"]["val"])
    experiment["model_type"] = "SRModel"
    experiment["train"]["optim_g"]["type"] = "Adam"
    experiment["train"]["pixel_opt"] = experiment["train"].pop("losses")["l_pix"]
    return experiment


def without_seeds(opt: dict[str, Any]) -> dict[str, Any]:
    for dataset in opt["datasets"].values():
        assert dataset.pop("manual_seed") == opt["manual_seed"]
    return opt


@pytest.mark.parametrize("flags", [[], ["--debug"], ["--auto_resume"], ["--force_yml", "scale=4", "name=other"]])
def test_same_as_basicsr(
    write: Write, stock: dict[str, Any], workplace: Path, monkeypatch: pytest.MonkeyPatch, flags: list[str]
) -> None:
    argv = ["-opt", str(write(stock)), *flags]
    monkeypatch.setattr("sys.argv", ["train.py", *argv])
    theirs, their_args = basicsr.utils.options.parse_options(str(workplace), is_train=True)
    ours, our_args = parse_options(str(workplace), is_train=True)
    assert without_seeds(ours) == theirs
    assert list(ours["datasets"]) == ["train", "val", "val_2"]
    for name, value in vars(their_args).items():
        assert getattr(our_args, name) == value


def test_same_as_basicsr_for_a_test_file(
    write: Write, stock: dict[str, Any], workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stock["datasets"] = {"test_1": stock["datasets"]["val"], "test_2": stock["datasets"]["val_2"]}
    stock["val"]["suffix"] = "x"
    stock["num_gpu"] = "auto"
    del stock["train"], stock["logger"]
    monkeypatch.setattr("sys.argv", ["test.py", "-opt", str(write(stock))])
    theirs, _ = basicsr.utils.options.parse_options(str(workplace), is_train=False)
    ours, _ = parse_options(str(workplace), is_train=False)
    assert without_seeds(ours) == theirs
    assert ours["num_gpu"] == torch.cuda.device_count()


def test_relative_paths_start_from_the_root(
    write: Write, experiment: dict[str, Any], workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (workplace / "start.pth").touch()
    (workplace / "home" / "lq").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(workplace / "home"))
    experiment["path"]["pretrain_network_g"] = "./start.pth"
    experiment["datasets"]["val"]["dataroot_lq"] = "~/lq"
    monkeypatch.chdir(workplace / "data")
    opt, args = parse_options(str(workplace), argv=["-opt", str(write(experiment))])
    assert opt["path"]["pretrain_network_g"] == str(workplace / "start.pth")
    assert opt["datasets"]["train"]["dataroot_gt"] == str(workplace / "data" / "gt")
    assert opt["datasets"]["val"]["dataroot_lq"] == str(workplace / "home" / "lq")
    assert args.merged == experiment  # kept as the file says it


def test_null_sections_are_left_out(write: Write, experiment: dict[str, Any], workplace: Path) -> None:
    experiment.update(network_d=None, path=None)
    experiment["datasets"]["val_2"] = None
    experiment["val"]["metrics"]["gone"] = None
    experiment["train"]["losses"]["l_gone"] = None
    opt, _ = parse_options(str(workplace), argv=["-opt", str(write(experiment))])
    assert "network_d" not in opt
    assert set(opt["datasets"]) == {"train", "val"}
    assert set(opt["val"]["metrics"]) == {"psnr"}
    assert set(opt["train"]["losses"]) == {"l_pix"}
    experiment["val"] = None
    opt, _ = parse_options(str(workplace), argv=["-opt", str(write(experiment)), "--debug"])
    assert "val" not in opt
    assert opt["logger"]["print_freq"] == 1


def test_seed(write: Write, experiment: dict[str, Any], workplace: Path) -> None:
    argv = ["-opt", str(write(experiment)), "--force_yml", "manual_seed=11"]
    draws = []
    for _ in range(2):
        opt, _ = parse_options(str(workplace), argv=argv)
        draws.append((random.random(), np.random.rand(), torch.rand(1).item()))
    assert opt["manual_seed"] == opt["datasets"]["train"]["manual_seed"] == opt["datasets"]["val"]["manual_seed"] == 11
    assert draws[0] == draws[1]


def test_drawn_seed_is_kept_for_resuming(write: Write, experiment: dict[str, Any], workplace: Path) -> None:
    del experiment["manual_seed"]
    argv = ["-opt", str(write(experiment))]
    opt, args = parse_options(str(workplace), argv=argv)
    assert 1 <= opt["manual_seed"] <= 10000
    assert args.merged["manual_seed"] == opt["manual_seed"]
    folder = workplace / "experiments" / "small"
    folder.mkdir(parents=True)
    (folder / "small.yml").write_text(yaml.safe_dump(args.merged | {"manual_seed": 12345}))
    opt, _ = parse_options(str(workplace), argv=[*argv, "--auto_resume"])
    assert opt["manual_seed"] == 12345


def test_everything_wrong_is_told_before_anything_is_changed(
    write: Write, experiment: dict[str, Any], workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    experiment.update(num_gpu=4, manual_seed="x")
    experiment["train"]["optim_g"]["lr"] = "fast"
    state = random.getstate()
    with pytest.raises(OptionError) as caught:
        parse_options(str(workplace), argv=["-opt", str(write(experiment))])
    assert random.getstate() == state
    lines = str(caught.value).splitlines()
    assert len(lines) == 3
    assert any("num_gpu: is 4, but this machine has 1 CUDA device; set it to auto or 0" in line for line in lines)


def test_several_machines_may_have_more_gpus_together(
    write: Write, experiment: dict[str, Any], workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prismsr.models.training.run_options import check_run
    from prismsr.utils.options.files import load_with_lines

    experiment["num_gpu"] = 8
    file = str(write(experiment))
    args = parse_arguments(["-opt", file, "--launcher", "slurm"])
    for there, problems in ((4, 0), (0, 1)):
        monkeypatch.setattr(torch.cuda, "device_count", lambda there=there: there)
        assert len(check_run(load_with_lines(file), file, args, str(workplace), True)) == problems


def test_two_files_are_not_one_run(write: Write, experiment: dict[str, Any]) -> None:
    file = str(write(experiment))
    with pytest.raises(OptionError, match="-opt names 2 files"):
        parse_options(".", argv=["-opt", file, file])


def test_launcher_and_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    assert parse_arguments(["-opt", "x"]).launcher == "none"
    for name, value in (("RANK", "3"), ("WORLD_SIZE", "4"), ("LOCAL_RANK", "1")):
        monkeypatch.setenv(name, value)
    assert parse_arguments(["-opt", "x"]).launcher == "pytorch"
    assert parse_arguments(["-opt", "x", "--launcher", "none"]).launcher == "none"
    assert parse_arguments(["-opt", "x", "--local-rank", "2"]).local_rank == 2
    assert (process_rank("pytorch"), process_rank("none")) == (3, 0)
    monkeypatch.setenv("SLURM_PROCID", "5")
    assert process_rank("slurm") == 5


@pytest.mark.parametrize("flags", [["--launcher", "mpi"], ["--unknown"], ["--auto"]])
def test_unknown_flags_exit_with_2(flags: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse_arguments(["-opt", "x", *flags])
    assert caught.value.code == 2
