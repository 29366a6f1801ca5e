"""List the files of a folder, write files that are never half there, set folders aside, and hash files."""

import hashlib
import io
import os
import sys
import time
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

TEMPORARY_SUFFIX = ".partial"
NAME_BYTES = 255  # of a file, on most file systems
UNREAD_SUFFIXES = (".avif", ".dng", ".gif", ".heic", ".heif", ".j2k", ".jfif", ".jp2", ".jxl", ".svg", ".tga")
"""Images that are not read; where a folder holds some, that is said."""


def list_visible_files(root: Path) -> list[Path]:
    """List the files in a folder and its subfolders, sorted; links are followed.

    Left out are hidden files and folders, what is no regular file (a pipe would be waited for), and a link to a folder
    that it lies in.
    """
    return sorted(_walk(root, ())) if root.is_dir() else []


def _walk(folder: Path, above: tuple[tuple[int, int], ...]) -> Iterator[Path]:
    state = folder.stat()
    identity = (state.st_dev, state.st_ino)
    if identity in above:
        return
    for path in folder.iterdir():
        if path.name.startswith("."):
            continue
        if path.is_dir():
            yield from _walk(path, (*above, identity))
        elif path.is_file():
            yield path


def list_images(root: Path, suffixes: Collection[str]) -> list[Path]:
    """List the files with these extensions (lower case, as ".png") as `list_visible_files` does.

    Images of other kinds are named on stderr; a folder that is not there has no images.
    """
    files = list_visible_files(root)
    unread = Counter(suffix for path in files if (suffix := path.suffix.lower()) in UNREAD_SUFFIXES)
    if unread:
        kinds = ", ".join(f"{count} {suffix}" for suffix, count in sorted(unread.items()))
        print(f"{root}: images of these kinds are not read and passed over: {kinds}", file=sys.stderr)
    return [path for path in files if path.suffix.lower() in suffixes]


def atomic_write(path: Path, data: bytes) -> None:
    """Write `data` under a hidden temporary name beside `path`, then rename it, so that `path` is never half a file.

    The temporary file is removed where it cannot be written, which is an OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(_temporary_name(path.name))
    try:
        temporary.write_bytes(data)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_figure(path: Path, figure: Any, dpi: float | str = "figure") -> None:
    """Write a figure of matplotlib as PNG; the file is never half there. OSError where it cannot be written."""
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=dpi)
    atomic_write(path, data.getvalue())


def _temporary_name(name: str) -> str:
    temporary = f".{name}.{os.getpid()}{TEMPORARY_SUFFIX}"
    if len(os.fsencode(temporary)) <= NAME_BYTES:
        return temporary
    return f".{hashlib.sha256(os.fsencode(name)).hexdigest()}.{os.getpid()}{TEMPORARY_SUFFIX}"


def set_aside(path: str | Path) -> Path:
    """Rename a file or folder to PATH_archived_TIME, with a number where that is taken already; return the new name."""
    name = f"{path}_archived_{time.strftime('%Y%m%d_%H%M%S')}"
    new, number = Path(name), 1
    while os.path.lexists(new):
        number += 1
        new = Path(f"{name}_{number}")
    Path(path).rename(new)
    return new


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file, hexadecimal; OSError where it cannot be read."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
