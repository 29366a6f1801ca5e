"""`network_g: {from: FILE}`: the type and the arguments of a network, read from its weights."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from prismsr.utils.errors import UserError
from prismsr.utils.options.check import check_options
from prismsr.utils.options.entries import FROM, find_registered
from prismsr.utils.options.files import LoadedOptions, resolve_path
from prismsr.utils.options.problems import Problem, join, show
from prismsr.utils.options.sections import section
from prismsr.utils.weights.spandrel import read_arguments

import torch


def fill_from_files(
    loaded: LoadedOptions,
    source: str,
    root: str | os.PathLike[str],
    missing_paths: Literal["error", "note"] = "error",
) -> list[Problem]:
    """Replace `from` in each network by the type and the arguments that its file tells, in place.

    Further arguments in the entry change those of the file. Training starts from the file's weights, unless `path`
    names others or null (~); where it does, the weights have to fit all the same. An entry whose file cannot be used
    stays as it is.

    Args:
        loaded: the options.
        source: name of the option file for messages.
        root: folder that relative paths start from.
        missing_paths: what a file that is not there is.

    Returns:
        What is wrong with the files, or with how they are named.
    """
    problems = []
    for key, entry in _named(loaded.options):
        found = _read(entry, key, root, missing_paths)
        if isinstance(found, Problem):
            problems.append(replace(found, where=loaded.lines.get(join(key, FROM), source)))
            continue
        arguments = {name: value for name, value in entry.items() if name != FROM}
        name, path = key.removeprefix("network_"), section(loaded.options, "path")
        start = resolve_path(str(path.get(f"pretrain_network_{name}", entry[FROM])), root)
        if start == resolve_path(entry[FROM], root) and path.get(f"strict_load_{name}") is not False:
            wrong = _find_contradictions(found, arguments, key, entry[FROM])
            problems += [replace(problem, where=loaded.lines.get(problem.key, source)) for problem in wrong]
        loaded.options = {**loaded.options, key: {**found, **arguments}}
        if f"pretrain_network_{name}" not in path:
            weights = {f"pretrain_network_{name}": entry[FROM], f"param_key_{name}": "params_ema"}
            loaded.options["path"] = {**weights, **path}
    return problems


def check_with_files(
    loaded: LoadedOptions,
    source: str,
    root: str | os.PathLike[str],
    *,
    is_train: bool,
    missing_paths: Literal["error", "note"] = "error",
) -> list[Problem]:
    """Check options whose networks may be named by a file; see `fill_from_files` and `check_options`."""
    unread = fill_from_files(loaded, source, root, missing_paths)
    found = check_options(
        loaded.options, source, missing_paths=missing_paths, is_train=is_train, root=root, lines=loaded.lines
    )
    return unread + found


def named_files(options: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the file that each network is built from by `from`, and its key path."""
    for key, entry in _named(options):
        yield str(entry[FROM]), join(key, FROM)


def _named(options: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    networks = [(str(key), entry) for key, entry in options.items() if str(key).startswith("network_")]
    return [(key, entry) for key, entry in networks if isinstance(entry, Mapping) and FROM in entry]


def _read(
    entry: Mapping[str, Any], key: str, root: str | os.PathLike[str], missing_paths: Literal["error", "note"]
) -> dict[str, Any] | Problem:
    file, where = entry[FROM], join(key, FROM)
    if not isinstance(file, str):
        return Problem(where, f"must name a file of weights; got {show(file)}")
    if "type" in entry:
        return Problem(where, "tells the type, too: leave out one of the two")
    if key.startswith("network_d"):
        return Problem(where, f"is for networks that make images, which {key} judges: give its type and arguments")
    path = resolve_path(file, root)
    if not os.path.isfile(path):
        return Problem(where, f"no such file: {file} (looked for {path})", missing_paths, missing=path)
    try:
        return read_arguments(Path(path))
    except UserError as error:
        return Problem(where, str(error))


def _find_contradictions(
    found: Mapping[str, Any], arguments: Mapping[str, Any], key: str, file: str
) -> Iterator[Problem]:
    """Yield the arguments with each of which the network that a file tells has other weights than the file."""
    others = {name: value for name, value in arguments.items() if value != found.get(name, value)}
    shapes: dict[str, Any] = {}
    for name, value in others.items():
        try:
            shapes = shapes or _list_shapes(found)
            fits = _list_shapes({**found, name: value}) == shapes
        except Exception:  # what the network does not take is told where its arguments are checked
            continue
        if not fits:
            yield Problem(join(key, name), f"is {show(value)}, but {file} has {show(found[name])}: leave it out")


def _list_shapes(entry: Mapping[str, Any]) -> dict[str, Any]:
    network = find_registered("arch", entry["type"])
    with torch.random.fork_rng(devices=[]):
        net = network(**{name: value for name, value in entry.items() if name != "type"})
    return {name: value.shape for name, value in net.state_dict().items()}
