"""Check entries {type: X, **arguments}: is X registered, and does its signature take these arguments?"""

import importlib
from collections.abc import Collection, Iterator
from typing import Any

from prismsr.utils.names import did_you_mean
from prismsr.utils.options.optimizers import OPTIMIZERS
from prismsr.utils.options.problems import Problem, join, show
from prismsr.utils.options.schema import entry_kind
from prismsr.utils.options.signatures import arguments_of, check_arguments
from prismsr.utils.rooms import is_installed

FROM = "from"
"""Key of a network's entry that names a file of weights, which tells type and arguments (weights/network_files.py)."""

METRIC_DATA = ("img", "img2")
"""What validation passes to every metric."""

SUPPLIED = {"metric": METRIC_DATA, "optimizer": ("params",), "scheduler": ("optimizer", "last_epoch")}
"""Parameters that are passed by the code, by the kind of entry."""

_REGISTRIES = {
    "arch": ("basicsr.archs", "ARCH_REGISTRY"),
    "dataset": ("basicsr.data", "DATASET_REGISTRY"),
    "loss": ("basicsr.losses", "LOSS_REGISTRY"),
    "metric": ("basicsr.metrics", "METRIC_REGISTRY"),
    "model": ("basicsr.models", "MODEL_REGISTRY"),
}
_SUFFIX = "_basicsr"  # BasicSR finds RealESRGANModel_basicsr as RealESRGANModel, too


def find_registered(kind: str, name: str) -> Any:
    """Return the registered class or function, or None, by the `type` (or `model_type`) that an option file gives.

    `kind` is "arch", "dataset", "loss", "metric", "model", "optimizer" or "scheduler".
    """
    found = _registered(kind)
    return found.get(name) or found.get(name + _SUFFIX) or (_find_lent(name) if kind == "arch" else None)


def registered_names(kind: str) -> set[str]:
    """Return every name for this kind that needs no other package's networks; see `known_names`."""
    return {name.removesuffix(_SUFFIX) for name in _registered(kind)} | {*_registered(kind)}


def known_names(kind: str) -> set[str]:
    """Return every name that an option file may give as `type` for this kind, spandrel's networks among them."""
    lent = _import_lent() if kind == "arch" else None
    return registered_names(kind) | {*(lent.list_networks() if lent else ())}


def check_entry(kind: str, entry: Any, prefix: str, *, optimizers: Collection[str] = ()) -> Iterator[Problem]:
    """Check one {type: X, **arguments} mapping at the key path `prefix`; of a dataset the keys are not arguments.

    `optimizers` are, for an optimiser, the types that the model knows.
    """
    if not isinstance(entry, dict):
        yield Problem(prefix, f"must be a mapping with a type; got {show(entry)}")
        return
    name, known = entry.get("type"), (kind == "optimizer" and optimizers) or registered_names(kind)
    if kind == "arch" and isinstance(name, str) and name not in known:
        known = known_names(kind)
    if not isinstance(name, str):
        what = "is required" if name is None else f"must be text; got {show(name)}"
        yield Problem(join(prefix, "type"), f"{what} (which {kind}{did_you_mean('', known)})")
    elif name not in known:
        yield Problem(join(prefix, "type"), f"no {kind} named {name!r}{did_you_mean(name, known)}")
    elif kind != "dataset":
        target, supplied = find_registered(kind, name), SUPPLIED.get(kind, ())
        arguments = {key: value for key, value in entry.items() if key != "type"}
        yield from check_arguments(target, arguments, prefix, supplied=supplied)
        for key, field in arguments_of(target, supplied).model_fields.items():
            inner = entry_kind(field)
            if inner is not None and inner not in ("losses", "metrics") and isinstance(arguments.get(key), dict):
                yield from check_entry(inner, arguments[key], join(prefix, key))


def check_metric(entry: Any, prefix: str) -> Iterator[Problem]:
    """Check one entry of `val.metrics`, which has the key `better` besides its arguments."""
    better = entry.get("better", "higher") if isinstance(entry, dict) else "higher"
    if better not in ("higher", "lower"):
        yield Problem(join(prefix, "better"), f"must be 'higher' or 'lower'; got {show(better)}")
    rest = {key: value for key, value in entry.items() if key != "better"} if isinstance(entry, dict) else entry
    yield from check_entry("metric", rest, prefix)


def _find_lent(name: str) -> Any:
    lent = None if name == "None" else _import_lent()  # None: an entry without `type`
    return lent.list_networks().get(name) if lent else None


def _import_lent() -> Any:
    """Return the module that knows spandrel's networks, None without spandrel."""
    if not is_installed("spandrel"):
        return None
    from prismsr.utils.options import spandrel_networks  # imports spandrel

    return spandrel_networks


def _registered(kind: str) -> dict[str, Any]:
    if kind == "optimizer":
        return dict(OPTIMIZERS)
    if kind == "scheduler":
        from basicsr.models.lr_scheduler import CosineAnnealingRestartLR, MultiStepRestartLR

        multi_step = dict.fromkeys(("MultiStepLR", "MultiStepRestartLR"), MultiStepRestartLR)
        return {**multi_step, "CosineAnnealingRestartLR": CosineAnnealingRestartLR}
    room, registry = _REGISTRIES[kind]
    importlib.import_module(room)  # BasicSR registers its own parts when their room is imported
    return dict(iter(getattr(importlib.import_module("basicsr.utils.registry"), registry)))
