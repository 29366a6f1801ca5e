"""Write files that are never half there, and hash them."""

import hashlib
import os
from pathlib import Path

TEMPORARY_SUFFIX = ".partial"


def atomic_write(path: Path, data: bytes) -> None:
    """Write `data` under a hidden temporary name beside `path`, then rename it, so that `path` is never half a file.

    Raises:
        OSError: the file cannot be written; the temporary file is removed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}{TEMPORARY_SUFFIX}")
    try:
        temporary.write_bytes(data)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file, hexadecimal.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
