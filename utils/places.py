"""Say where prismsr's option files lie, and where experiments, results and relative paths start.

In a checkout both are the repository. In an installed copy the option files lie beside the code, and all else starts in
the current folder.
"""

from pathlib import Path

HOME = Path(__file__).resolve().parents[1]
"""The folder that holds options/: the repository, to which src/prismsr links, or the installed package."""
OPTIONS = HOME / "options"


def find_root() -> Path:
    """Return the folder where experiments/, results/, datasets/ and relative paths start."""
    return HOME if (HOME / "src" / "prismsr").is_dir() else Path.cwd()


def find_option_file(name: str, root: Path) -> Path:
    """Return the option file `name` (as "options/ssl/esrgan_ssl_x4.yml") below `root`, else prismsr's own.

    It need not exist; for `root` see find_root.
    """
    shipped = HOME / name
    return shipped if shipped.is_file() and not (root / name).is_file() else root / name
