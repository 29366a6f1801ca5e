"""Import every file of a room, so that its parts register themselves with BasicSR; offer a package's public names."""

import ast
import importlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prismsr.utils import compat
from prismsr.utils.places import HOME
from prismsr.utils.plugins import import_installed

ROOMS = {
    "archs": "_arch.py",
    "data": "_dataset.py",
    "losses": "_loss.py",
    "metrics": "_metric.py",
    "models": "_model.py",
}
"""Rooms whose parts register themselves, and how the names of the files end that do."""


def is_command(folder: str = "tools") -> bool:
    """Return whether this process was started as a command of a folder, not as a worker of one, which has its argv."""
    program = sys.argv[0] if sys.argv else ""
    started = program.endswith(".py") and program in sys.orig_argv
    return started and Path(program).resolve().parent == HOME / folder


def register_all() -> None:
    """Make BasicSR importable, and register every part of the rooms and of installed plug-ins; the first call counts.

    Importing prismsr calls it. A command of tools/ calls it once its arguments are read: it takes seconds, which
    --help and a wrong argument need not wait for. Without BasicSR it does nothing.
    """
    if _registered or not is_installed("basicsr"):
        return
    _registered.append(True)
    compat.repair_imports()  # has to run before the first import of basicsr or torchvision anywhere below
    for room, suffix in ROOMS.items():
        import_room(f"prismsr.{room}", suffix)
    import_installed()


_registered: list[bool] = []


def import_room(package: str, suffix: str) -> None:
    """Import each module of `package`, a room's dotted name, whose file name ends in `suffix`, in alphabetical order.

    This is BasicSR's own habit (a file `x_arch.py` in archs/ is found without being listed anywhere).
    """
    room = Path(importlib.import_module(package).__path__[0])
    for path in sorted(room.rglob(f"*{suffix}")):
        inner = ".".join(path.relative_to(room).with_suffix("").parts)
        importlib.import_module(f"{package}.{inner}")


def is_installed(package: str) -> bool:
    """Return whether a top-level package can be found; it is not imported."""
    try:
        return importlib.util.find_spec(package) is not None
    except ModuleNotFoundError:
        return False


def offer_names(package: str, init_file: str) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Return `__getattr__`, `__dir__` and `__all__` of a package that imports its public names when they are asked for.

    What it offers are the imports in the `__init__.pyi` beside `init_file`, which type checkers and editors read as
    they stand.
    """
    imports = ast.parse(Path(init_file).with_suffix(".pyi").read_text(encoding="utf8")).body
    homes = {alias.name: line.module for line in imports if isinstance(line, ast.ImportFrom) for alias in line.names}

    def load(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        home = homes[name]
        if home is None:  # `from . import room`
            return importlib.import_module(f"{package}.{name}")
        return getattr(importlib.import_module(home), name)

    return load, lambda: sorted(homes), sorted(homes)
