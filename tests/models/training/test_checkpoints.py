"""Files of a checkpoint: whole or not there, and nothing is lost with one that is damaged."""

import os
import zipfile
from collections.abc import Iterator

from prismsr.models.training import checkpoint_files
from prismsr.models.training.checkpoint_files import (
    hash_beside,
    newest_valid,
    prune,
    rank_file,
    read_state,
    save_file,
    save_safetensors,
    save_state,
    states,
)
from prismsr.utils.files import hash_file
from prismsr.utils.weights.files import WeightsError, read_file

import pytest
import torch

EMPTY = {"epoch": 0, "optimizers": [], "schedulers": []}


def _checkpoint(folder, iteration):
    known = save_file(folder / f"net_g_{iteration}.pth", {"params": {"weight": torch.arange(1000.0)}})
    ours = {"networks": {f"net_g_{iteration}.pth": known}, "world_size": 1}
    save_state(folder / f"{iteration}.state", {**EMPTY, "iter": iteration, "prismsr": ours})


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


def test_times_of_files_do_not_count(folder):
    """A clock that was set back makes the newest checkpoint the oldest file."""
    for age, iteration in enumerate((8, 9, 10)):
        for path in folder.glob(f"*{iteration}*"):
            os.utime(path, (10**9 - age, 10**9 - age))
    assert _newest(folder) == (10, [])
    prune(folder, folder, 1)
    assert [path.stem for path in states(folder)] == ["10"]


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


def _without_hashes(folder, iteration):
    """Make a checkpoint as those were that knew the sizes of networks alone."""
    hash_beside(folder / f"{iteration}.state").unlink()
    ours = {"networks": {f"net_g_{iteration}.pth": (folder / f"net_g_{iteration}.pth").stat().st_size}}
    save_file(folder / f"{iteration}.state", {**EMPTY, "iter": iteration, "prismsr": ours | {"world_size": 1}})


@pytest.mark.parametrize("damage", [_truncate, _flip, _foreign, _empty])
@pytest.mark.parametrize("name", ["10.state", "net_g_10.pth"])
def test_older_checkpoints_are_read_and_checked_by_their_own_sums(folder, damage, name):
    _without_hashes(folder, 10)
    assert _newest(folder) == (10, [])
    damage(folder / name)
    assert _newest(folder)[0] == 9


def _flip_bits(path, first, last=None, step=1) -> Iterator[None]:
    """Flip each bit of a part of a file in turn, or each step-th."""
    whole = path.read_bytes()
    for bit in range(8 * first, 8 * (last or len(whole)), step):
        content = bytearray(whole)
        content[bit // 8] ^= 1 << bit % 8
        path.write_bytes(content)
        yield
    path.write_bytes(whole)


def _directory(path):
    with zipfile.ZipFile(path) as archive:
        return archive.start_dir


@pytest.mark.parametrize(("name", "step"), [("10.state", 1), ("net_g_10.pth", 9)])
def test_no_bit_of_a_zip_directory_is_silent_and_none_escapes(folder, name, step):
    assert _newest(folder)[0] == 10
    for _ in _flip_bits(folder / name, _directory(folder / name), step=step):
        with pytest.raises(WeightsError, match=f"{name} is damaged"):
            read_state(folder / "10.state", folder)
    assert _newest(folder)[0] == 10


def test_without_a_hash_other_values_are_never_read(tmp_path):
    file, values = tmp_path / "net.pth", torch.arange(5.0)
    torch.save({"w": values}, file)
    first = file.read_bytes().find(b"PK\x01\x02", _directory(file) + 1)  # torch's own entries, then those of tensors
    first, last = file.read_bytes().find(b"net/data/0", first) - 46, file.read_bytes().rfind(b"net/data/0") + 10
    refused = 0
    for _ in _flip_bits(file, first, last):
        try:
            assert torch.equal(read_file(file)["w"], values)
        except WeightsError:
            refused += 1
    assert refused > 200


def test_state_of_odd_content_is_passed_over(folder):
    save_state(folder / "10.state", {**EMPTY, "iter": 10, "prismsr": [1]})
    assert _newest(folder)[0] == 9


def test_hash_beside_a_state_is_the_one_of_its_file(folder):
    digest, name = hash_beside(folder / "10.state").read_text().split()
    assert (digest, name) == (hash_file(folder / "10.state"), "10.state")


@pytest.mark.parametrize("replaced", [False, True])
def test_kill_between_hash_and_state_leaves_a_folder_to_go_on_from(folder, monkeypatch, replaced):
    class KilledError(BaseException):
        pass

    def replace(source, target):
        if target.suffix == ".state":
            raise KilledError
        rename(source, target)

    rename = checkpoint_files.os.replace
    monkeypatch.setattr(checkpoint_files.os, "replace", replace)
    with pytest.raises(KilledError):
        save_state(folder / f"{10 if replaced else 11}.state", {**EMPTY, "iter": 11})
    assert _newest(folder)[0] == (9 if replaced else 10)
    monkeypatch.undo()
    _checkpoint(folder, 11)
    assert _newest(folder)[0] == 11


def test_missing_network_and_files_that_are_no_states(folder):
    (folder / "net_g_10.pth").unlink()
    save_state(folder / "9.state", {"weight": torch.zeros(1)})
    (folder / "best.state").write_bytes(b"")
    newest, told = _newest(folder)
    assert newest == 8
    assert "best.state" in told[0] and "No file at" in told[1] and "is no training state" in told[2]


def test_missing_part_of_another_rank(folder):
    state = read_state(folder / "10.state", folder)
    other = rank_file(folder / "10.state", 1)
    state["prismsr"] |= {"world_size": 2, "ranks": {1: save_file(other, {"rng": {}})}}
    save_state(folder / "10.state", state)
    assert _newest(folder)[0] == 10
    save_file(other, {"rng": {"of": "another"}})
    assert _newest(folder)[0] == 9
    other.unlink()
    assert _newest(folder)[0] == 9


def test_none_left_is_an_error_and_none_at_all_a_new_start(folder, tmp_path):
    for path in states(folder):
        _truncate(path)
    with pytest.raises(WeightsError, match="training state"):
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
        "10.state", "10.state.sha256", "9.state", "9.state.sha256",
        "net_d_unet_18.pth", "net_g_10.pth", "net_g_9.pth", "net_g_best.pth", "net_g_latest.pth",
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


def test_full_disk_leaves_the_file_as_it_was(launch_server, tmp_path):
    path = tmp_path / "net_g_5.pth"
    save_file(path, {"params": torch.zeros(3)})
    before = path.read_bytes()
    code, output = launch_server.run_code(tmp_path.parent, FULL_DISK, str(path))
    assert code == 0, output
    assert "net_g_5.pth cannot be written (File too large)" in output
    assert "--auto_resume" in output
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_safetensors_hold_a_shared_weight_under_both_names(tmp_path):
    weight = torch.arange(6.0).reshape(2, 3)
    tensors = {"model.8.weight": weight, "HR_conv0_new.0.weight": weight, "turned": torch.rand(2, 3).T}
    save_safetensors(tmp_path / "x.safetensors", tensors, {})
    torch.testing.assert_close(read_file(tmp_path / "x.safetensors"), tensors, rtol=0, atol=0)
