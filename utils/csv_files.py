"""CSV files: read, written at once, or grown line by line while a long run goes on.

A spreadsheet runs a cell that begins with = + - @ or a tab. Such a cell, unless it is a number, is written with an
apostrophe before it, which reading takes away.
"""

import csv
import io
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from prismsr.utils.files import atomic_write

_RUN = re.compile(r"'*[=+\-@\t\r]")
"""Beginning of a cell that would be run; one with apostrophes gets another, so that it comes back as it was."""


def read_rows(path: Path) -> list[list[str]]:
    """Return the cells of all lines, the header among them; bytes that are no UTF-8 come as `write_rows` takes them.

    Raises:
        OSError: the file cannot be read.
        csv.Error: it is no CSV.
    """
    with path.open(encoding="utf8", errors="surrogateescape", newline="") as file:
        return _parse(file)


def parse_finished(text: str) -> list[list[str]]:
    r"""Return the cells of all lines that have ended; a run that was killed may leave a last one that has not.

    Example:
        >>> parse_finished("iter,l_g_pix\n10,0.25\n20,0.2")
        [['iter', 'l_g_pix'], ['10', '0.25']]
    """
    return _parse(io.StringIO(text[: text.rfind("\n") + 1], newline=""))


def _parse(lines: Iterable[str]) -> list[list[str]]:
    return [[cell[1:] if cell[:1] == "'" and _RUN.match(cell) else cell for cell in row] for row in csv.reader(lines)]


def format_rows(rows: Iterable[Iterable[object]]) -> str:
    r"""Return lines of CSV, each ended by a line feed.

    Example:
        >>> format_rows([["a.png", 0.5], ["b, c.png", None]])
        'a.png,0.5\n"b, c.png",\n'
        >>> format_rows([["=HYPERLINK(1)", -0.5]])
        "'=HYPERLINK(1),-0.5\n"
    """
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(map(_guard, row) for row in rows)
    return text.getvalue()


def _guard(cell: object) -> object:
    if not isinstance(cell, str) or not _RUN.match(cell):
        return cell
    try:
        float(cell)
    except ValueError:
        return f"'{cell}"
    return cell


def write_rows(path: Path, header: Sequence[str], rows: Iterable[Iterable[object]]) -> None:
    """Write a header and rows; the file is never half there. OSError where it cannot be written."""
    atomic_write(path, format_rows([header, *rows]).encode("utf8", "surrogateescape"))


def append_rows(path: Path, rows: Iterable[Iterable[object]]) -> None:
    """Add rows to a file that is there; they are in the operating system's hands when this returns."""
    with path.open("ab") as file:
        file.write(format_rows(rows).encode("utf8", "surrogateescape"))


def prepare_to_append(path: Path, columns: list[str]) -> None:
    """Write the header into a new file, in a new folder where there is none.

    Where a run was killed while it wrote the last line, that is cut off.
    """
    if not path.is_file() or not path.stat().st_size:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(format_rows([columns]), encoding="utf8")
        return
    with path.open("rb+") as file:
        file.seek(-1, os.SEEK_END)
        if file.read(1) != b"\n":
            file.seek(0)
            file.truncate(file.read().rfind(b"\n") + 1)
