"""Import code from outside, whose archs, losses, datasets, models and metrics register themselves as ours do.

An installed package names its module by an entry point of the group `prismsr.plugins`, and is imported with prismsr.
Any other is named by a command's `--import`. The processes that a command starts import the same.
"""

import argparse
import importlib
import os
import sys
import traceback
import warnings
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from prismsr.utils.errors import OptionError

GROUP = "prismsr.plugins"
VARIABLE = "PRISMSR_IMPORT"
"""Environment variable with what `--import` named, for the processes that a command starts."""
imported: dict[str, str] = {}
"""Name and file of each module that was imported so."""


def add_import(parser: argparse.ArgumentParser) -> None:
    """Add --import."""
    text = "a module of yours with archs, losses, ...: its dotted name, or the path of a .py file or package folder"
    parser.add_argument("--import", dest="imports", action="append", default=[], metavar="MODULE", help=text)


def import_named(names: Sequence[str]) -> None:
    """Import what `--import` names, in this process and in all that it starts.

    An OptionError says what cannot be imported, where and why.
    """
    for name in names:
        _import(name)
    paths = [str(_path(name) or name) for name in names]
    if paths:
        os.environ[VARIABLE] = os.pathsep.join(dict.fromkeys([*_inherited(), *paths]))


def import_installed() -> None:
    """Import what entry points name, and what the process that started this one had imported.

    What cannot be imported is warned of, so that a broken package keeps nobody from working without it.
    """
    from importlib.metadata import entry_points

    for name in [*(entry.module for entry in entry_points(group=GROUP)), *_inherited()]:
        try:
            _import(name)
        except OptionError as error:
            warnings.warn(str(error), stacklevel=2)


def _inherited() -> list[str]:
    return [name for name in os.environ.get(VARIABLE, "").split(os.pathsep) if name]


def _path(name: str) -> Path | None:
    """Return the absolute path that a name is, or None where it is a dotted name."""
    return Path(name).expanduser().resolve() if name.endswith(".py") or {"/", os.sep} & set(name) else None


def _import(name: str) -> None:
    path = _path(name)
    try:
        module = importlib.import_module(name) if path is None else _import_path(path)
    except (Exception, SystemExit) as error:  # whatever the module does when it is imported
        raise OptionError(f"plug-in {name} cannot be imported: {_reason(error)}") from error
    imported[module.__name__] = str(module.__file__)


def _import_path(path: Path) -> ModuleType:
    """Import a file or package folder by its own name, so that other processes can find its classes by theirs."""
    file = path / "__init__.py" if path.is_dir() else path
    if not file.is_file():
        raise FileNotFoundError(f"there is no {file}")
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))  # last, so that its other files take no other module's place
    module = importlib.import_module(path.name.removesuffix(".py"))
    if Path(str(module.__file__)).resolve() != file:
        raise ImportError(f"{module.__name__} is the name of {module.__file__} too; give the file another name")
    return module


def _reason(error: BaseException) -> str:
    places = [frame for frame in traceback.extract_tb(error.__traceback__) if "importlib" not in frame.filename]
    place = f" ({places[-1].filename}:{places[-1].lineno})" if places[-1].filename != __file__ else ""
    return f"{type(error).__name__}: {error}{place}"
