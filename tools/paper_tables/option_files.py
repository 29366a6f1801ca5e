"""List a paper's option files with the rows of its tables that they make, as README.md of their folder in options.

`python -m prismsr.tools.paper_tables.option_files` writes these files anew from the YAML files beside this one.
"""

import re
from collections.abc import Mapping
from itertools import takewhile
from pathlib import Path
from typing import Any

from prismsr.tools.paper_tables import FOLDER, PAPERS, read_mapping
from prismsr.utils.tables import markdown_table

ROOT = FOLDER.parents[1]
FOLDERS = {**{paper: paper for paper in PAPERS}, "diffusion": "ssl"}
"""The paper of each folder of option files."""


def find_rows(tables: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the rows ("`ssl-1` ESRGAN") by the path of the option file that makes them."""
    found: dict[str, list[str]] = {}
    for table, content in tables.items():
        for row, entry in {**content.get("rows", {}), **content.get("extra", {})}.items():
            options = entry.get("options", {})
            files = (
                {options: ""} if isinstance(options, str) else {file: f", {place}" for place, file in options.items()}
            )
            for file, place in files.items():
                found.setdefault(file, []).append(f"`{table}` {row}{place}")
    return found


def read_purpose(file: Path) -> str:
    """Return the first sentence of an option file's opening comment."""
    lines = takewhile(lambda line: line.startswith("#"), file.read_text(encoding="utf8").splitlines())
    text = " ".join(line.lstrip("# ") for line in lines if "$schema" not in line)
    return re.split(r"\.(?: |$)", text)[0]


def format_readme(folder: str) -> str:
    """Return the text of options/FOLDER/README.md."""
    paper = FOLDERS[folder]
    rows = find_rows(read_mapping(paper))
    title = paper.upper() if folder == paper else f"{paper.upper()}'s {folder} methods"
    cells = [
        (f"[{file.name}]({file.name})", read_purpose(file), "; ".join(rows.get(f"options/{folder}/{file.name}", ["-"])))
        for file in sorted((ROOT / "options" / folder).glob("*.yml"))
    ]
    return (
        f"# Option files of {title}\n\n"
        f"What each file makes of the paper's tables; "
        f"[docs/papers/{paper}.md](../../docs/papers/{paper}.md) has the equations.\n"
        "Written by `python -m prismsr.tools.paper_tables.option_files`.\n\n"
        + markdown_table(("option file", "experiment", "table, row"), cells)
        + "\n"
    )


if __name__ == "__main__":
    for name in FOLDERS:
        (ROOT / "options" / name / "README.md").write_text(format_readme(name), encoding="utf8")
