"""Files that are never half there, and their hashes."""

from pathlib import Path

from prismsr.utils.files import atomic_write, hash_file

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
