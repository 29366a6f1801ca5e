"""What a folder was made with: a JSON file in it, read and compared by the next run."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prismsr.utils.errors import OptionError
from prismsr.utils.files import atomic_write

PREPARED = ".prepare.json"  # of tools/prepare.py; hidden: what reads images takes every visible file for one
INFERRED = ".infer.json"  # of tools/infer.py


def simplify_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings as they come back from a record: tuples are lists."""
    return dict(json.loads(json.dumps(settings)))


def read_record(path: Path) -> dict[str, Any] | None:
    """Return what a record holds, None where there is none; OptionError where it is damaged."""
    try:
        return dict(json.loads(path.read_text(encoding="utf8")))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise OptionError(f"{path} is damaged ({error}); delete that folder, or choose another with -o") from error


def write_record(path: Path, content: Mapping[str, Any]) -> None:
    """Write a record; OSError where it cannot be written."""
    atomic_write(path, json.dumps(content, indent=1).encode())


def remove_recorded(folder: Path) -> None:
    """Remove a folder of tools/prepare.py, its record last: where a kill stops this, the next run still knows it.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as place:
        ...     write_record(Path(place, "set", PREPARED), {"command": "lmdb"})
        ...     remove_recorded(Path(place, "set"))
        ...     Path(place, "set").exists()
        False
    """
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name != PREPARED:
            path.unlink()
    shutil.rmtree(folder)


def describe_differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Return in words what differs, "" where nothing does.

    Example:
        >>> describe_differences({"scale": 4, "seed": 0}, {"scale": 2, "seed": 0})
        'scale: 4 then, 2 now'
    """
    names = [name for name in {**then, **now} if then.get(name) != now.get(name)]
    return ", ".join(f"{name}: {then.get(name)} then, {now.get(name)} now" for name in names)
