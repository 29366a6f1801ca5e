"""List a paper's option files with the rows of its tables that they make, as options/PAPER/README.md.

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


def format_readme(paper: str) -> str:
    """Return the text of options/PAPER/README.md."""
    rows = find_rows(read_mapping(paper))
    cells = [
        (f"[{file.name}]({file.name})", read_purpose(file), "; ".join(rows.get(f"options/{paper}/{file.name}", ["-"])))
        for file in sorted((ROOT / "options" / paper).glob("*.yml"))
    ]
    return (
        f"# Option files of {paper.upper()}\n\n"
        f"What each file makes of the paper's tables; "
        f"[docs/papers/{paper}.md](../../docs/papers/{paper}.md) has the equations.\n"
        "Written by `python -m prismsr.tools.paper_tables.option_files`.\n\n"
        + markdown_table(("option file", "experiment", "table, row"), cells)
        + "\n"
    )


if __name__ == "__main__":
    for name in PAPERS:
        (ROOT / "options" / name / "README.md").write_text(format_readme(name), encoding="utf8")
