"""One way to read a set of images, be it a folder or an LMDB: by keys, as the bytes of an image file."""

import json
import os
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from prismsr.utils.errors import UserError
from prismsr.utils.files import list_images
from prismsr.utils.images import MASK_SUFFIXES, ImageReadError, read_bytes

import lmdb

MANIFEST = "manifest.json"
META_INFO = "meta_info.txt"
_PLAIN = "!#$&'()*+,-/:;<=>?@[\\]^_`{|}~"  # ASCII marks that BasicSR's reader takes as they are; letters and digits too


class ImageSourceError(UserError, ValueError):
    """A folder or LMDB cannot serve as a set of images; the message says why and what to do."""


class DamagedSourceError(ImageSourceError):
    """An LMDB is there but truncated or otherwise unreadable."""

    exit_code = 1


def encode_key(key: str) -> str:
    """Return LMDB key of an image: dots, blanks, percent signs and non-ASCII characters as %XX, all else unchanged.

    BasicSR cuts a key at its first dot and encodes it as ASCII; two different names never give the same key.
    """
    return quote(key, safe=_PLAIN, errors="surrogateescape").replace(".", "%2E")


def decode_key(stored: str) -> str:
    """Return the inverse of `encode_key`."""
    return unquote(stored, errors="surrogateescape")


class ImageSource(ABC):
    """A set of images; picklable, and safe to use in forked and spawned processes.

    Keys are relative paths without extension, with "/" between folders, the same for a folder and for an LMDB of it.
    """

    @abstractmethod
    def keys(self) -> list[str]:
        """Return keys of all images, sorted."""

    @abstractmethod
    def read(self, key: str) -> bytes:
        """Return bytes of the image file; raises `ImageReadError`, naming the image, where there is none."""

    def read_part(self, key: str, start: int, stop: int) -> bytes:
        """Return bytes `start` to `stop` - 1 of the image; none where a part costs as much as the whole, as of a file.

        ImageReadError where there is no such image.
        """
        return b""

    @abstractmethod
    def describe(self, key: str) -> str:
        """Return where the image lies, for messages."""


class FolderSource(ImageSource):
    """The image files of a folder and its subfolders with these suffixes; hidden files and folders are left out.

    Raises:
        ImageSourceError: no such folder, no image in it, or two files that differ only in their extension.
    """

    def __init__(self, root: str | Path, suffixes: tuple[str, ...] = MASK_SUFFIXES) -> None:
        self.root = Path(root)
        if not self.root.is_dir():
            raise ImageSourceError(f"{self.root}: no such folder")
        self.paths: dict[str, Path] = {}
        for path in list_images(self.root, suffixes):
            key = path.relative_to(self.root).with_suffix("").as_posix()
            if (other := self.paths.setdefault(key, path)) is not path:
                raise ImageSourceError(
                    f"{path} and {other.name} differ only in their extension, so that both are image {key!r}; rename "
                    "or remove one of them"
                )
        if not self.paths:
            raise ImageSourceError(f"{self.root}: no image in this folder; looked for {', '.join(suffixes)}")

    def keys(self) -> list[str]:
        """Return keys of all images, sorted."""
        return sorted(self.paths)

    def read(self, key: str) -> bytes:
        """Return content of the file."""
        if key not in self.paths:
            raise ImageReadError(f"{self.describe(key)}: no such image")
        return read_bytes(self.paths[key])

    def describe(self, key: str) -> str:
        """Return path of the file."""
        return str(self.paths.get(key, self.root / key))


_OPEN: dict[Path, tuple[int, Any]] = {}  # LMDB path -> (process id, environment): lmdb allows one opening a process


def _environment(path: Path) -> Any:
    """Return the read-only environment of this process for an LMDB, opened at the first call; the path is resolved."""
    process, environment = _OPEN.get(path, (0, None))
    if process != os.getpid():
        if environment is not None:
            environment.close()  # inherited by a fork; without a lock file closing it touches this process alone
        environment = _open(path)
        _OPEN[path] = (os.getpid(), environment)
    return environment


def _open(path: Path) -> Any:
    try:
        environment = lmdb.open(str(path), readonly=True, lock=False, readahead=False, create=False)
    except lmdb.Error as error:
        raise DamagedSourceError(
            f"{path}: cannot be opened as an LMDB ({error}); copy it again or make it anew"
        ) from error
    held = (path / "data.mdb").stat().st_size
    needed = (environment.info()["last_pgno"] + 1) * environment.stat()["psize"]
    command = [sys.executable, "-c", _READ_ALL, str(path)]  # in another process: reading beyond its end kills it
    if held < needed and subprocess.run(command, capture_output=True, check=False).returncode:
        environment.close()
        raise DamagedSourceError(
            f"{path}: data.mdb is truncated: it has {held} of {needed} bytes; copy it again or make it anew"
        )
    return environment


_READ_ALL = """
import lmdb, sys
with lmdb.open(sys.argv[1], readonly=True, lock=False, create=False).begin(buffers=True) as transaction:
    for key, value in transaction.cursor():
        value[-1:].tobytes()
"""


def close_lmdb(path: Path) -> None:
    """Close this process's environment for an LMDB, e.g. before the LMDB is replaced."""
    process, environment = _OPEN.pop(path.resolve(), (0, None))
    if process == os.getpid():
        environment.close()


class LmdbSource(ImageSource):
    """An LMDB of image files as BasicSR reads it, made by `tools/prepare.py lmdb` or by BasicSR's own scripts.

    It is opened at the first use, in each process anew. ImageSourceError where there is none.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        if not (self.root / "data.mdb").is_file():
            raise ImageSourceError(f"{self.root}: not an LMDB (there is no data.mdb in it)")
        self._resolved = self.root.resolve()  # once: it costs as much as reading a crop
        # An LMDB without our manifest comes from elsewhere: its keys are plain, even where they hold a percent sign.
        self.encoded = (self.root / MANIFEST).is_file()

    def keys(self) -> list[str]:
        """Return keys of all images, sorted."""
        with _environment(self._resolved).begin() as transaction:
            stored = [bytes(key).decode("utf8") for key in transaction.cursor().iternext(values=False)]
        return sorted(decode_key(key) for key in stored) if self.encoded else sorted(stored)

    def stored_key(self, key: str) -> str:
        """Return the key as the LMDB, its meta_info.txt and its manifest.json spell it."""
        return encode_key(key) if self.encoded else key

    def read(self, key: str) -> bytes:
        """Return the stored bytes."""
        return self.read_part(key, 0, None)

    def read_part(self, key: str, start: int, stop: int | None) -> bytes:
        """Return the stored bytes `start` to `stop` - 1; the others are not read from the disk."""
        try:
            with _environment(self._resolved).begin(buffers=True) as transaction:
                value = transaction.get(self.stored_key(key).encode("utf8"))
                if value is not None:
                    return bytes(value[start:stop])
        except lmdb.Error as error:
            raise ImageReadError(f"{self.describe(key)}: cannot be read ({error})") from error
        raise ImageReadError(f"{self.describe(key)}: no such key")

    def describe(self, key: str) -> str:
        """Return folder of the LMDB and key."""
        return f"{self.root}, key {self.stored_key(key)}"

    def manifest(self) -> dict[str, dict[str, Any]]:
        """Return size in bytes, shape and SHA-256 of each value, by stored key; empty without a manifest.json."""
        if not self.encoded:
            return {}
        try:
            return json.loads((self.root / MANIFEST).read_text(encoding="utf8"))["images"]
        except (ValueError, KeyError) as error:
            raise ImageSourceError(f"{self.root / MANIFEST} is damaged ({error!r}); make the LMDB anew") from error


def require_same_keys(keys: Iterable[str], others: Iterable[str], root: str, other_root: str) -> None:
    """Raise ImageSourceError where two sets, `root` being that of `keys`, do not hold the same images."""
    if other := sorted(set(keys) ^ set(others)):
        text = f"do not hold the same images: {len(other)} differ, first {', '.join(other[:5])}."
        raise ImageSourceError(f"{root} and {other_root} {text}")


def open_source(root: str | Path) -> ImageSource:
    """Open a set of images: an LMDB where the name ends in .lmdb, else a folder.

    Images are PNG, JPEG, BMP, TIFF or WebP files, and masks .mat files as well (see prismsr.utils.images).

    Raises:
        ImageSourceError: nothing usable there; the message says why.
    """
    return LmdbSource(root) if Path(root).suffix == ".lmdb" else FolderSource(root)
