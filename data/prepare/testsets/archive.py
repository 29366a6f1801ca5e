"""Read the archives and folders that published test sets come in. Nothing is unpacked: files are read one by one."""

import fnmatch
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path, PurePosixPath

from prismsr.utils.errors import DataError
from prismsr.utils.files import list_visible_files

SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
MAX_BYTES = 256 * 2**20
"""Larger files are no images of a test set; a small archive may claim to hold them (a decompression bomb)."""
_DAMAGED = (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError)


def find_archives(downloads: Path, patterns: Iterable[str]) -> list[Path]:
    """Return archives and folders in `downloads` whose names match one of the shell patterns; capitals do not count."""
    wanted = [pattern.lower() for pattern in patterns]
    entries = sorted(downloads.iterdir()) if downloads.is_dir() else []
    return [
        entry
        for entry in entries
        if (entry.is_dir() or entry.name.lower().endswith(SUFFIXES))
        and any(fnmatch.fnmatchcase(entry.name.lower(), pattern) for pattern in wanted)
    ]


def list_files(archive: Path) -> list[str]:
    """Return the files of an archive or folder, as "ARCHIVE/path/in/it", ARCHIVE being its name without extension.

    Links, devices and paths that leave the archive are left out. DataError where it is damaged.
    """
    try:
        if archive.is_dir():
            paths = [path.relative_to(archive).as_posix() for path in list_visible_files(archive)]
        elif zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as file:
                items = [item for item in file.infolist() if not stat.S_ISLNK(item.external_attr >> 16)]
                paths = [item.filename for item in items if not item.is_dir()]
        else:
            with tarfile.open(archive) as file:
                paths = [item.name for item in file if item.isfile()]
    except _DAMAGED as error:
        raise _make_error(archive, error) from error
    stem = _stem(archive)
    return [f"{stem}/{path}" for path in paths if _inside(path)]


def read_files(archive: Path, wanted: Collection[str]) -> Iterator[tuple[str, bytes]]:
    """Yield names, as `list_files` gives them, and contents of files, in the order that is fast for the archive.

    Raises:
        DataError: the archive is damaged, locked by a password, or a file in it is larger than MAX_BYTES.
    """
    inner = {name.removeprefix(f"{_stem(archive)}/"): name for name in wanted}
    reader = _read_folder if archive.is_dir() else _read_zip if zipfile.is_zipfile(archive) else _read_tar
    files = reader(archive, inner)
    while True:
        try:  # around the reading alone: errors of whoever takes the files are theirs
            path, data = next(files)
        except StopIteration:
            return
        except DataError:
            raise
        except _DAMAGED as error:
            raise _make_error(archive, error) from error
        yield inner[path], data


def fingerprint(archive: Path) -> list[int]:
    """Return files, bytes and newest time of change (ns) of an archive or folder: others where it was replaced."""
    states = [path.stat() for path in (list_visible_files(archive) if archive.is_dir() else [archive])]
    newest = max((state.st_mtime_ns for state in states), default=0)
    return [len(states), sum(state.st_size for state in states), newest]


def _read_folder(folder: Path, paths: Collection[str]) -> Iterator[tuple[str, bytes]]:
    for path in sorted(paths):
        _require_small(folder, path, (folder / path).stat().st_size)
        yield path, (folder / path).read_bytes()


def _read_zip(archive: Path, paths: Collection[str]) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(archive) as file:
        for item in file.infolist():
            if item.filename in paths:
                _require_small(archive, item.filename, item.file_size)
                yield item.filename, file.read(item)  # compares the checksum


def _read_tar(archive: Path, paths: Collection[str]) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(archive) as file:
        for item in file:
            content = file.extractfile(item) if item.name in paths and item.isfile() else None
            if content is not None:
                _require_small(archive, item.name, item.size)
                yield item.name, content.read()


def _require_small(archive: Path, path: str, size: int) -> None:
    if size > MAX_BYTES:
        raise DataError(f"{archive}: {path} has {size:,} bytes; an image of a test set has less than {MAX_BYTES:,}")


def _inside(path: str) -> bool:
    return not path.startswith("/") and "\\" not in path and ".." not in PurePosixPath(path).parts


def _stem(archive: Path) -> str:
    if not archive.is_dir():
        for suffix in sorted(SUFFIXES, key=len, reverse=True):
            if archive.name.lower().endswith(suffix):
                return archive.name[: -len(suffix)]
    return archive.name


def _make_error(archive: Path, error: Exception) -> DataError:
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return DataError(f"{archive}: damaged, incomplete or no archive that can be read ({reason}); download it again")
