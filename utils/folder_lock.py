"""One run at a time in an output folder: a lock beside it, held for the run's life and freed by its death."""

import json
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

from prismsr.utils.errors import UserError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_LONGEST = 200
"""Bytes of a folder's name that its lock repeats; a longer one is hashed, since file systems take 255."""
_held: set[tuple[int, Path]] = set()
"""Locks of this process; a forked one inherits the set, but no lock."""


class FolderInUseError(UserError):
    """Another run is writing to the folder; the message names it."""


@contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Hold the lock of an output folder, or of an output file; a run that holds it already may ask again.

    The lock is a POSIX lock on a hidden file beside the folder. The kernel frees it when the process ends in any way,
    and workers do not inherit it. The file names the process, and is removed at the end.

    Args:
        folder: the output; need not be there yet.

    Raises:
        FolderInUseError: another run holds it.
        OSError: the lock cannot be written.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as place, folder_lock(Path(place, "results")):
        ...     print(sorted(path.name for path in Path(place).iterdir()))
        ['.results.lock']
    """
    path = _lock_file(folder)
    key = (os.getpid(), path)
    if key in _held:
        yield
        return
    file = _acquire(path, folder)
    _held.add(key)
    try:
        yield
    finally:
        _held.discard(key)
        if key[0] == os.getpid():
            with suppress(OSError):  # first, so that none who waits for this file finds it under its name
                path.unlink()
        os.close(file)


def _lock_file(folder: Path) -> Path:
    folder = folder.absolute()
    name = folder.name if len(os.fsencode(folder.name)) <= _LONGEST else sha256(os.fsencode(folder.name)).hexdigest()
    beside = folder.resolve().parent / f".{name}.lock"
    beside.parent.mkdir(parents=True, exist_ok=True)
    if os.access(beside.parent, os.W_OK) or not folder.is_dir():
        return beside
    return folder.resolve() / ".lock"  # a mounted folder whose parent is not the user's


def _acquire(path: Path, folder: Path) -> int:
    """Open and lock the file; the one of a run that has ended is taken over."""
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            locked = _lock(file)
            holder = _read_holder(file)
            if locked is False or (locked is None and _lives(holder)):
                raise FolderInUseError(_refusal(folder, holder))
            if _is_at(file, path):
                _tell_other_host(folder, holder)
                _write_holder(file)
                return file
        except BaseException:
            os.close(file)
            raise
        os.close(file)  # removed by its holder between opening and locking


def _lock(file: int) -> bool | None:
    """Return whether the lock was got; None where the system or file system knows no locks."""
    if fcntl is None:
        return None
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:
        return None
    return True


def _is_at(file: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return False


def _read_holder(file: int) -> dict[str, Any]:
    try:
        return dict(json.loads(os.pread(file, 4096, 0)))
    except (ValueError, TypeError):
        return {}  # new, or its holder has yet to write


def _write_holder(file: int) -> None:
    since = time.strftime("%Y-%m-%d %H:%M:%S")
    holder = {"host": socket.gethostname(), "pid": os.getpid(), "start": _process_start(os.getpid()), "since": since}
    os.ftruncate(file, 0)
    os.pwrite(file, json.dumps(holder).encode(), 0)


def _process_start(pid: int) -> str | None:
    """Return when a process began, in the kernel's ticks: another process of the same number began at another time."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf8").rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return None


def _lives(holder: dict[str, Any]) -> bool:
    """Return whether the process that a lock file names is there; on another host nobody can tell, so it may be."""
    if not holder:
        return False
    if holder.get("host") != socket.gethostname():
        return True
    try:
        os.kill(int(holder["pid"]), 0)
    except ProcessLookupError:
        return False
    except (OSError, KeyError, ValueError):
        pass
    return bool(holder.get("start") == _process_start(int(holder.get("pid", 0))))


def _refusal(folder: Path, holder: dict[str, Any]) -> str:
    who = "another run"
    if holder:
        who = f"process {holder.get('pid')} on {holder.get('host')}, since {holder.get('since')}"
    return (
        f"{folder} is in use by {who}. Two runs would mix their files there: wait for it, end it, or choose another "
        f"folder or name. If it is long gone, remove {_lock_file(folder)}"
    )


def _tell_other_host(folder: Path, holder: dict[str, Any]) -> None:
    if holder and holder.get("host") != socket.gethostname():
        text = f"{folder} was in use by process {holder.get('pid')} on {holder.get('host')}, which did not end in order"
        print(f"{text}; taken over, since its lock is free.", file=sys.stderr, flush=True)
