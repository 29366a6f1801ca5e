"""Files of a checkpoint: whole or not there, and nothing is lost with one that is damaged."""

import subprocess
import sys

from prismsr.models.training.checkpoint_files import newest_valid, prune, rank_file, read_state, save_file, states
from prismsr.utils.weights.files import WeightsError

import pytest
import torch

EMPTY = {"epoch": 0, "optimizers": [], "schedulers": []}


def _checkpoint(folder, iteration):
    save_file(folder / f"net_g_{iteration}.pth", {"params": {"weight": torch.arange(1000.0)}})
    size = (folder / f"net_g_{iteration}.pth").stat().st_size
    ours = {"networks": {f"net_g_{iteration}.pth": size}, "world_size": 1}
    save_file(folder / f"{iteration}.state", {**EMPTY, "iter": iteration, "prismsr": ours})


@pytest.fixture
def folder(tmp_path):
    for iteration in (8, 9, 10):
        _checkpoint(tmp_path, iteration)
    return tmp_path


def _newest(folder):
    told = []
    found = newest_valid(folder, folder, told.append)
    return found and int(found[0].stem), told


def test_newest_by_number(folder):
    assert _newest(folder) == (10, [])
    assert [path.stem for path in states(folder)] == ["10", "9", "8"]


def _truncate(path):
    path.write_bytes(path.read_bytes()[:-300])


def _flip(path):
    content = bytearray(path.read_bytes())
    at = content.find(b"optimizers")  # the middle of a small state is padding
    content[at if at > 0 else len(content) // 2] ^= 1
    path.write_bytes(content)


def _foreign(path):
    path.write_bytes(b"not a checkpoint")


def _empty(path):
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [_truncate, _flip, _foreign, _empty])
@pytest.mark.parametrize("name", ["10.state", "net_g_10.pth"])
def test_damaged_file_is_named_and_passed_over(folder, damage, name):
    damage(folder / name)
    newest, told = _newest(folder)
    assert newest == 9
    assert len(told) == 1
    assert "Passing over the state of iteration 10" in told[0] and str(folder / name) in told[0]


def test_missing_network_and_files_that_are_no_states(folder):
    (folder / "net_g_10.pth").unlink()
    (folder / "9.state").unlink()
    save_file(folder / "9.state", {"weight": torch.zeros(1)})
    (folder / "best.state").write_bytes(b"")
    newest, told = _newest(folder)
    assert newest == 8
    assert "best.state" in told[0] and "No file at" in told[1] and "is no training state" in told[2]


def test_missing_part_of_another_rank(folder):
    state = read_state(folder / "10.state", folder)
    state["prismsr"]["world_size"] = 2
    save_file(folder / "10.state", state)
    assert _newest(folder)[0] == 9
    save_file(rank_file(folder / "10.state", 1), {"rng": {}})
    assert _newest(folder)[0] == 10


def test_none_left_is_an_error_and_none_at_all_a_new_start(folder, tmp_path):
    for path in states(folder):
        _truncate(path)
    with pytest.raises(WeightsError, match=r"No training state in .* can be used"):
        _newest(folder)
    assert _newest(tmp_path / "nowhere") == (None, [])


def test_state_of_basicsr_will_do(tmp_path):
    torch.save({**EMPTY, "iter": 3}, tmp_path / "3.state")
    assert _newest(tmp_path) == (3, [])


def test_prune_keeps_the_newest_and_what_is_not_a_checkpoint(folder):
    for name in ("net_g_latest.pth", "net_g_best.pth", "net_d_8.pth", "net_d_unet_18.pth", "8.rank1"):
        (folder / name).write_bytes(b"")
    prune(folder, folder, 2)
    assert sorted(path.name for path in folder.iterdir()) == [
        "10.state", "9.state", "net_d_unet_18.pth", "net_g_10.pth", "net_g_9.pth", "net_g_best.pth", "net_g_latest.pth",
    ]  # fmt: skip


FULL_DISK = """
import resource, sys
from pathlib import Path
import torch
from prismsr.models.training.checkpoint_files import CheckpointError, save_file
path = Path(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    save_file(path, {"params": torch.ones(100_000)})
except CheckpointError as error:
    print(error)
"""


def test_full_disk_leaves_the_file_as_it_was(tmp_path):
    path = tmp_path / "net_g_5.pth"
    save_file(path, {"params": torch.zeros(3)})
    before = path.read_bytes()
    done = subprocess.run([sys.executable, "-c", FULL_DISK, str(path)], capture_output=True, text=True, check=True)
    assert "net_g_5.pth cannot be written (File too large)" in done.stdout
    assert "--auto_resume" in done.stdout
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
