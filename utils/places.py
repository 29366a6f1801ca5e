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
    """Return the option file `name` below `root`, else the one that comes with prismsr.

    Args:
        name: path that begins with options/, as "options/ssl/esrgan_ssl_x4.yml"; the file need not exist.
        root: see find_root.
    """
    shipped = HOME / name
    return shipped if shipped.is_file() and not (root / name).is_file() else root / name
