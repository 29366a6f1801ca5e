"""CSV files that grow line by line while a long run goes on."""

import os
from pathlib import Path


def ready_to_append(path: Path, columns: list[str]) -> None:
    """Write the header into a new file; cut off the last line where a run was killed while it wrote it.

    Args:
        path: the file; its folder is made where there is none.
        columns: the header.
    """
    if not path.is_file() or not path.stat().st_size:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(",".join(columns) + "\r\n", encoding="utf8")
        return
    with path.open("rb+") as file:
        file.seek(-1, os.SEEK_END)
        if file.read(1) != b"\n":
            file.seek(0)
            file.truncate(file.read().rfind(b"\n") + 1)
