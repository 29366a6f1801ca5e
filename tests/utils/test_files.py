"""Files that are never half there, and their hashes."""

import os
import time
from pathlib import Path

from prismsr.utils.files import atomic_write, hash_file, list_images, list_visible_files, set_aside

import pytest


def test_hash_follows_the_content(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert hash_file(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_atomic_write_replaces_or_leaves_nothing(tmp_path, monkeypatch):
    path = tmp_path / "new" / "file"
    atomic_write(path, b"one")
    atomic_write(path, b"two")
    assert path.read_bytes() == b"two"
    write_bytes = Path.write_bytes

    def disk_full(self, data):
        write_bytes(self, data[:2])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space"):
        patch.setattr(Path, "write_bytes", disk_full)
        atomic_write(path, b"three")
    assert path.read_bytes() == b"two"
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="folder"):
        atomic_write(tmp_path / "folder", b"four")
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["file", "folder", "new"]


def test_links_pipes_and_hidden_files_are_no_trap(tmp_path, capsys):
    (tmp_path / "in" / "deep").mkdir(parents=True)
    for name in ("in/a.png", "in/deep/b.PNG", "in/.hidden.png", "in/c.gif", "in/note.txt"):
        (tmp_path / name).write_bytes(b"x")
    os.symlink(".", tmp_path / "in" / "self")
    os.symlink("../..", tmp_path / "in" / "deep" / "above")
    os.symlink("round", tmp_path / "in" / "round")
    os.symlink("nowhere", tmp_path / "in" / "lost.png")
    os.symlink("a.png", tmp_path / "in" / "link.png")
    os.mkfifo(tmp_path / "in" / "pipe.png")
    found = list_images(tmp_path / "in", (".png",))
    assert [path.relative_to(tmp_path / "in").as_posix() for path in found] == ["a.png", "deep/b.PNG", "link.png"]
    assert "1 .gif" in capsys.readouterr().err
    assert list_visible_files(tmp_path / "none") == []


@pytest.mark.parametrize("name", ["x" * 249 + ".png", "ü" * 125 + ".png"])
def test_the_longest_names_are_written(tmp_path, name):
    atomic_write(tmp_path / name, b"x")
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_folders_set_aside_in_one_second_keep_their_files(tmp_path, monkeypatch):
    monkeypatch.setattr(time, "strftime", lambda form: "20261128_151759")
    for number in range(3):
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / str(number)).touch()
        set_aside(tmp_path / "run" if number else f"{tmp_path}/run")
    names = {path.parent.name: path.name for path in tmp_path.rglob("run*/*")}
    assert names == {f"run_archived_20261128_151759{tail}": str(number) for number, tail in enumerate(("", "_2", "_3"))}
