"""Option files on disk: inheritance by `_base_`, overrides from the command line, and the merged file that is kept."""

import os
import shlex
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prismsr.utils.errors import OptionError
from prismsr.utils.names import nearest
from prismsr.utils.options.yaml_loader import OptionDumper, read_yaml

import yaml

BASE = "_base_"
REPLACE = "_replace_"


@dataclass
class LoadedOptions:
    """A merged option file."""

    options: dict[str, Any]
    """What the file says together with all it inherits."""
    lines: dict[str, str] = field(default_factory=dict)
    """Key path to the place that had the last word on it, `file.yml:12`."""


def load_options(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read an option file with everything it inherits.

    Args:
        path: the YAML file. Its `_base_` names one file or a list of files, relative to its own folder. Later files
            win, mappings are merged key by key, anything else (lists too) is replaced; null takes the place of an
            inherited value, and a mapping with `_replace_: true` that of an inherited mapping.

    Raises:
        OptionError: a file is missing, empty, unsafe or no YAML mapping, or files inherit each other in a circle.
    """
    return load_with_lines(path).options


def load_with_lines(path: str | os.PathLike[str]) -> LoadedOptions:
    """Load as `load_options` does, with the file and line each key comes from."""
    loaded = _load(Path(path), (), {})
    return LoadedOptions(merge({}, loaded.options), loaded.lines)


def _load(path: Path, above: tuple[Path, ...], read: dict[Path, LoadedOptions]) -> LoadedOptions:
    """Read a file with its bases; `read` holds those that are done, since files may name one base many times."""
    source = shown(path)
    if path.resolve() in read:
        return read[path.resolve()]
    if path.resolve() in above:
        circle = " -> ".join(shown(item) for item in (*above[above.index(path.resolve()) :], path))
        raise OptionError(f"{source}: option files inherit each other in a circle: {circle}")
    try:
        text = path.read_text(encoding="utf8")
    except (OSError, UnicodeDecodeError) as error:
        raise OptionError(f"{source}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    data, lines = read_yaml(text, source)
    if not isinstance(data, dict):
        what = "is empty" if data is None else "is not a mapping of keys to values"
        raise OptionError(f"{source}: the file {what}.")
    merged = LoadedOptions({})
    for base in _bases(data.pop(BASE, []), lines.get(BASE, source)):
        target = path.parent / base
        if not target.is_file():
            raise OptionError(f"{lines[BASE]}: {BASE} names {base}, but there is no file {shown(target)}.")
        inherited = _load(target, (*above, path.resolve()), read)
        merged = LoadedOptions(merge(merged.options, inherited.options), merged.lines | inherited.lines)
    result = LoadedOptions(merge(merged.options, data), merged.lines | lines)
    read[path.resolve()] = result
    return result


def _bases(value: Any, where: str) -> list[str]:
    bases = [value] if isinstance(value, str) else value
    if not isinstance(bases, list) or not all(isinstance(base, str) for base in bases):
        raise OptionError(f"{where}: {BASE} must be a file name or a list of file names; got {value!r}.")
    return bases


def merge(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Merge two mappings deeply into a new one that shares no container with either (BasicSR pops keys from them)."""
    merged = {key: _copy(value) for key, value in base.items()}
    for key, value in changes.items():
        old = merged.get(key)
        if isinstance(value, dict):
            keep = isinstance(old, dict) and value.get(REPLACE) is not True
            merged[key] = merge(old if keep and old else {}, {k: v for k, v in value.items() if k != REPLACE})
        else:
            merged[key] = _copy(value)
    return merged


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copy(item) for key, item in value.items()}
    return [_copy(item) for item in value] if isinstance(value, list) else value


def apply_overrides(loaded: LoadedOptions, entries: Iterable[str]) -> None:
    """Set keys from the command line, in place: entries `a:b:c=value`, each value read as YAML.

    Sections that are not there are made, unless one of a similar name is there.

    Raises:
        OptionError: all entries that cannot be applied, one line each.
    """
    problems = []
    for entry in entries:
        try:
            _override(loaded, entry)
        except OptionError as error:
            problems.append(str(error))
    if problems:
        raise OptionError("\n".join(problems))


def _override(loaded: LoadedOptions, entry: str) -> None:
    source = f"--force_yml {entry}"
    path, equals, text = entry.partition("=")
    keys = [key.strip() for key in path.split(":")]
    if not equals or not all(keys):
        raise OptionError(f"{source}: must look like train:ema_decay=0.999 (keys joined by ':', '=', a value).")
    section = loaded.options
    for depth, key in enumerate(keys[:-1], start=1):
        near = nearest(key, section)
        if section.get(key) is None and near in (None, key):
            section[key] = {}  # the check of the options names it where no model knows it
        inner = section.get(key)
        if not isinstance(inner, dict):
            there = f"{'.'.join(keys[:depth])} is not a mapping"
            raise OptionError(
                f"{source}: {there if key in section else f'there is no section {key}; did you mean {near!r}?'}"
            )
        section = inner
    value, _ = read_yaml(text, source)
    section[keys[-1]] = _copy(value)
    full = ".".join(keys)
    loaded.lines = {key: where for key, where in loaded.lines.items() if not key.startswith(f"{full}.")}
    loaded.lines[full] = source


def save_options(options: Mapping[str, Any], path: Path, versions: str) -> None:
    """Write merged options as one YAML file that needs no `_base_`, with how and when the run was started.

    It appears whole or not at all. `versions` is one line on the software in use.
    """
    command = shlex.join([Path(sys.executable).name, *sys.argv])
    header = f"# {time.strftime('%Y-%m-%d %H:%M:%S')}\n# {command}\n# {versions}\n\n"
    body = yaml.dump(dict(options), Dumper=OptionDumper, sort_keys=False, allow_unicode=True, width=120)
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(header + body, encoding="utf8")
    partial.replace(path)


def find_option_files(paths: Iterable[str | Path]) -> list[Path]:
    """Return all *.yml below the folders, and the files, in order and once each."""
    found = [file for path in map(Path, paths) for file in (sorted(path.rglob("*.yml")) if path.is_dir() else [path])]
    return list(dict.fromkeys(found))


def shown(path: Path) -> str:
    """Return the path as messages show it: relative to the working directory where it lies below it."""
    relative = os.path.relpath(path)
    return str(path.absolute()) if relative.startswith("..") else relative


def resolve_path(path: str, root: str | os.PathLike[str]) -> str:
    """Return absolute form of a path from an option file: `~` is the home folder, relative paths start from `root`."""
    return os.path.normpath(os.path.join(root, os.path.expanduser(path)))
