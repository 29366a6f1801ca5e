"""Draw a page again and again while what it shows grows."""

import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from prismsr.utils.errors import OptionError

SUFFIXES = (".csv", ".json")
"""Of the files that a report is made from."""

Stamp = dict[Path, tuple[int, int]]


def watch(draw: Callable[[int | None], None], folders: Iterable[Path], seconds: int) -> None:
    """Draw once, and whenever a table in the folders has changed, until Ctrl-C; then once more.

    Args:
        draw: writes the page, which reloads itself after so many seconds, or not at all (None).
        folders: searched with their subfolders; what is not there yet is waited for.
        seconds: between two looks.
    """
    seen: Stamp | None = None
    try:
        while True:
            found = read_stamps(folders)
            if found != seen:
                seen = found
                try:
                    draw(seconds)
                except OptionError as error:
                    print(f"waiting: {error}", file=sys.stderr, flush=True)
            time.sleep(seconds)
    except KeyboardInterrupt:
        with suppress(OptionError):
            draw(None)


def read_stamps(folders: Iterable[Path]) -> Stamp:
    """Return time of change and size of each table in the folders."""
    found = {}
    for path in (path for folder in folders for path in folder.rglob("*") if path.suffix in SUFFIXES):
        with suppress(OSError):  # replaced or moved away in this moment
            status = path.stat()
            found[path] = (status.st_mtime_ns, status.st_size)
    return found
