"""Importing prismsr leaves BasicSR as it is; patch_basicsr replaces what the launchers replace."""

import json
import subprocess
import sys
import time
from types import SimpleNamespace

from prismsr.models.training.basicsr_patches import MODEL_FILES, init_dist, init_wandb_logger, mkdir_and_rename
from prismsr.utils import compat
from prismsr.utils.errors import OptionError

import pytest
import torch
from basicsr.archs import build_network
from basicsr.models.base_model import BaseModel
from basicsr.utils import misc
from basicsr.utils.registry import LOSS_REGISTRY

LIST = """
import inspect, json, runpy, sys

def functions():
    # where the code of every function and method of BasicSR comes from
    found = {}
    for name, module in sorted(sys.modules.items()):
        if name.partition(".")[0] == "basicsr":
            found.update(owned(name, vars(module)))
            for label, value in vars(module).items():
                if inspect.isclass(value) and value.__module__ == name:
                    found.update(owned(f"{name}.{label}", vars(value)))
    return found

def owned(prefix, names):
    code = {name: getattr(inspect.unwrap(value), "__code__", None) for name, value in names.items() if callable(value)}
    return {f"{prefix}.{name}": f"{c.co_filename}:{c.co_qualname}" for name, c in code.items() if c}
"""
BARE = LIST + "runpy.run_path(sys.argv[1])['repair_imports'](); import basicsr; print(json.dumps([functions()]))"
OURS = (
    LIST
    + """
import prismsr; import basicsr
states = [functions()]
for _ in range(2):
    prismsr.patch_basicsr()
    states.append(functions())
print(json.dumps(states))
"""
)
PATCHED = {
    *(f"basicsr.models.base_model.BaseModel.{name}" for name in MODEL_FILES),
    "basicsr.models.base_model.BaseModel.model_to_device",
    "basicsr.models.sr_model.SRModel.nondist_validation",
    "basicsr.models.sr_model.SRModel.dist_validation",
    "basicsr.utils.registry.Registry.get",
    "basicsr.utils.dist_util.init_dist",
    "basicsr.utils.misc.mkdir_and_rename",
    "basicsr.utils.options.init_dist",
}


def _states(code):
    command = [sys.executable, "-c", code, compat.__file__]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return json.loads(output.splitlines()[-1])


def test_importing_leaves_basicsr_as_it_is_and_patching_replaces_what_is_named():
    [original] = _states(BARE)
    imported, patched, again = _states(OURS)
    assert len(original) > 500 and set(original) >= PATCHED
    assert imported == original
    assert {name for name in original if patched[name] != original[name]} == PATCHED
    assert again == patched


def test_names_with_basicsr_suffix_are_found_without_a_word(capsys):
    net = build_network({"type": "SRVGGNetCompact", "num_feat": 4, "num_conv": 1, "upscale": 2})
    assert net(torch.rand(1, 3, 5, 5)).shape == (1, 3, 10, 10)
    assert "not found" not in capsys.readouterr().out


def test_unknown_name_gives_the_nearest():
    with pytest.raises(KeyError, match="'AdversarialLos'; did you mean 'AdversarialLoss'"):
        LOSS_REGISTRY.get("AdversarialLos")


def test_closing_validation_has_the_last_iteration():
    calls = []
    model = BaseModel({"num_gpu": 0, "is_train": True, "dist": False, "train": {"total_iter": 12}})
    model.nondist_validation = lambda *args: calls.append(args)
    model.validation("loader", 14, None)
    model.validation("loader", 8, None, True)
    assert [call[1] for call in calls] == [12, 8]
    assert [call[3] for call in calls] == [False, True]


def test_two_folders_set_aside_in_one_second(tmp_path, monkeypatch):
    monkeypatch.setattr(time, "strftime", lambda *arguments: "now")
    monkeypatch.setattr(misc, "mkdir_and_rename", mkdir_and_rename)
    opt = {
        "is_train": True,
        "rank": 0,
        "path": {"experiments_root": str(tmp_path / "run"), "log": str(tmp_path / "run")},
    }
    for number in range(3):
        misc.make_exp_dirs(opt)
        (tmp_path / "run" / str(number)).touch()
    assert {path.name: path.parent.name for path in tmp_path.rglob("?")} == {
        "0": "run_archived_now",
        "1": "run_archived_now_2",
        "2": "run",
    }


def test_launcher_without_its_variables_is_told(monkeypatch):
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "SLURM_PROCID"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ValueError, match="RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR"):
        init_dist("pytorch")
    with pytest.raises(ValueError, match="SLURM_PROCID"):
        init_dist("slurm")
    with pytest.raises(ValueError, match="launcher is 'mpi'"):
        init_dist("mpi")


def test_wandb_goes_on_with_the_id_that_the_experiment_holds(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(init=lambda **arguments: calls.append(arguments)))

    def start(folder, rank=0, **options):
        paths = {"experiments_root": str(tmp_path / folder)}
        init_wandb_logger({"rank": rank, "name": "x", "path": paths, "logger": {"wandb": {"project": "sr", **options}}})

    start("one", rank=1)
    assert calls == []
    start("one")
    start("one", resume_id=None)
    start("two")
    ids = [call["id"] for call in calls]
    assert ids[0] == ids[1] != ids[2] and len(ids[0]) == 8
    assert calls[0]["project"] == "sr" and calls[0]["sync_tensorboard"] and calls[0]["resume"] == "allow"
    start("one", resume_id="mine")
    start("one")
    assert [call["id"] for call in calls[3:]] == ["mine", "mine"]
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(OptionError, match=r"logger\.wandb"):
        start("one")
