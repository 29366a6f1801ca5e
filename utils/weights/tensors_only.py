"""Hold what other packages read to tensors: torch.load without code, and no TorchScript that reaches for files."""

import contextlib
import io
import pickle
import re
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from prismsr.utils.weights.files import WeightsError, describe_refusal

import torch

_LOCK = threading.Lock()
_THREAD = threading.local()
_ORIGINALS: dict[str, Any] = {}
"""torch's own readers, kept while any thread holds them."""
_DEPTH = [0]
_GETATTR = re.compile(r'getattr\(([\w.]+), "(\w+)"\)')
_DANGEROUS = re.compile(r"\b(?:save|from_file|classes|getattr)\b|\bops\b(?!\.prim\.)")
"""What a TorchScript program that computes with its own tensors has no use for."""


@contextlib.contextmanager
def tensors_only() -> Iterator[None]:
    """Refuse what this thread reads by torch.load or torch.jit.load where it is more than tensors; also a decorator.

    An explicit weights_only=False is overridden. torch.hub's and torchvision's loaders are held as well: they use it. A
    WeightsError names the refused file and what to do, whatever the package made of the refusal.
    """
    outer = getattr(_THREAD, "refusals", None)
    refusals: list[WeightsError] = []
    _THREAD.refusals = refusals
    _hold(1)
    try:
        yield
    except Exception:
        if not refusals:
            raise
    finally:
        _hold(-1)
        _THREAD.refusals = outer
    if refusals:
        raise refusals[0]


def _hold(change: int) -> None:
    with _LOCK:
        _DEPTH[0] += change
        entered, left = change > 0 and _DEPTH[0] == 1, _DEPTH[0] == 0
        for key, (module, stand_in) in _STAND_INS.items():
            if entered:
                _ORIGINALS[key] = module.load
            if entered or left:
                module.load = stand_in if entered else _ORIGINALS[key]


def _load(file: Any, map_location: Any = None, pickle_module: Any = None, **options: Any) -> Any:
    if getattr(_THREAD, "refusals", None) is None:  # another thread's
        return _ORIGINALS["torch"](file, map_location, pickle_module, **options)
    try:
        return _ORIGINALS["torch"](file, map_location, **{**options, "weights_only": True})
    except pickle.UnpicklingError as error:
        raise _refuse(describe_refusal(_name(file), error)) from error
    except (RuntimeError, EOFError) as error:
        reason = (str(error).splitlines() or ["it ends too early"])[0]
        raise WeightsError(f"{_name(file)} is truncated, damaged or no weights file ({reason}).") from error


def _load_program(file: Any, *args: Any, **options: Any) -> Any:
    if getattr(_THREAD, "refusals", None) is not None and (found := _find_danger(file)):
        raise _refuse(
            f"{_name(file)} was not read: it is a program (TorchScript) that uses {found}, and so can write files. "
            "Fetch it anew from where it was published, or load it on a machine that may be lost."
        )
    return _ORIGINALS["jit"](file, *args, **options)


_STAND_INS: dict[str, tuple[Any, Callable[..., Any]]] = {"torch": (torch, _load), "jit": (torch.jit, _load_program)}


def _refuse(message: str) -> WeightsError:
    error = WeightsError(message)
    _THREAD.refusals.append(error)
    return error


def _name(file: Any) -> Path:
    return Path(str(getattr(file, "name", file)))


def _find_danger(file: Any) -> str:
    """Return what in a TorchScript archive could reach for files; "" where nothing does, or it is no archive."""
    data: Any = io.BytesIO(file.read()) if hasattr(file, "read") else Path(file)
    if hasattr(file, "seek"):
        file.seek(0)
    if not zipfile.is_zipfile(data):
        return ""
    with zipfile.ZipFile(data) as archive:
        for member in archive.infolist():
            name = member.filename.lower()  # torch's reader does not tell cases apart
            if name.endswith(".pkl") and b"torch.classes" in archive.read(member):
                return "torch.classes"
            if name.endswith(".py") and (found := _DANGEROUS.search(_without_names(archive.read(member)))):
                return found[0]
    return ""


def _without_names(code: bytes) -> str:
    """Return a program with a.b for getattr(a, "b"), as it is written for submodules that have a number for a name."""
    text, count = code.decode("utf8", "replace"), 1
    while count:
        text, count = _GETATTR.subn(r"\1.\2", text)
    return text
