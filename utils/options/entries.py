"""Check entries {type: X, **arguments}: is X registered, and does its signature take these arguments?"""

import importlib
from collections.abc import Collection, Iterator
from typing import Any

from prismsr.utils.names import did_you_mean
from prismsr.utils.options.basicsr_tables import known_hints
from prismsr.utils.options.optimizers import OPTIMIZERS
from prismsr.utils.options.problems import Problem, join, show
from prismsr.utils.options.signatures import check_arguments

METRIC_DATA = ("img", "img2")
"""What validation passes to every metric."""

_REGISTRIES = {
    "arch": ("basicsr.archs", "ARCH_REGISTRY"),
    "dataset": ("basicsr.data", "DATASET_REGISTRY"),
    "loss": ("basicsr.losses", "LOSS_REGISTRY"),
    "metric": ("basicsr.metrics", "METRIC_REGISTRY"),
    "model": ("basicsr.models", "MODEL_REGISTRY"),
}
_SUFFIX = "_basicsr"  # BasicSR finds RealESRGANModel_basicsr as RealESRGANModel, too


def find_registered(kind: str, name: str) -> Any:
    """The registered class or function, or None.

    Args:
        kind: "arch", "dataset", "loss", "metric" or "model".
        name: what an option file gives as `type` (or `model_type`).
    """
    room, registry = _REGISTRIES[kind]
    importlib.import_module(room)  # BasicSR registers its own parts when their room is imported
    found = dict(iter(getattr(importlib.import_module("basicsr.utils.registry"), registry)))
    return found.get(name) or found.get(name + _SUFFIX)


def registered_names(kind: str) -> set[str]:
    """Every name that an option file may give as `type` for this kind."""
    room, registry = _REGISTRIES[kind]
    importlib.import_module(room)
    names = set(getattr(importlib.import_module("basicsr.utils.registry"), registry).keys())
    return names | {name.removesuffix(_SUFFIX) for name in names}


def check_entry(kind: str, entry: Any, prefix: str, *, optimizers: Collection[str] = ()) -> Iterator[Problem]:
    """Check one {type: X, **arguments} mapping.

    Args:
        kind: "arch", "loss", "optimizer", "scheduler", or "dataset" (whose keys are not arguments).
        entry: what the option file has.
        prefix: its key path.
        optimizers: for an optimiser, the types that the model knows.
    """
    if not isinstance(entry, dict):
        yield Problem(prefix, f"must be a mapping with a type; got {show(entry)}")
        return
    name = entry.get("type")
    known = set(optimizers) if kind == "optimizer" else _schedulers() if kind == "scheduler" else registered_names(kind)
    if not isinstance(name, str):
        what = "is required" if name is None else f"must be text; got {show(name)}"
        yield Problem(join(prefix, "type"), f"{what} (which {kind}{did_you_mean('', known)})")
    elif name not in known:
        yield Problem(join(prefix, "type"), f"no {kind} named {name!r}{did_you_mean(name, known)}")
    elif kind != "dataset":
        arguments = {key: value for key, value in entry.items() if key != "type"}
        yield from _check_call(kind, name, arguments, prefix)


def check_metric(entry: Any, prefix: str) -> Iterator[Problem]:
    """Check one entry of `val.metrics`, which has the key `better` besides its arguments."""
    better = entry.get("better", "higher") if isinstance(entry, dict) else "higher"
    if better not in ("higher", "lower"):
        yield Problem(join(prefix, "better"), f"must be 'higher' or 'lower'; got {show(better)}")
    rest = {key: value for key, value in entry.items() if key != "better"} if isinstance(entry, dict) else entry
    yield from check_entry("metric", rest, prefix)


def _schedulers() -> dict[str, Any]:
    from basicsr.models.lr_scheduler import CosineAnnealingRestartLR, MultiStepRestartLR

    return {
        "MultiStepLR": MultiStepRestartLR,
        "MultiStepRestartLR": MultiStepRestartLR,
        "CosineAnnealingRestartLR": CosineAnnealingRestartLR,
    }


def _check_call(kind: str, name: str, arguments: dict[str, Any], prefix: str) -> Iterator[Problem]:
    if kind == "optimizer":
        supplied: tuple[str, ...] = ("params",)
        target: Any = OPTIMIZERS[name]
        if "lr" not in arguments:
            yield Problem(join(prefix, "lr"), "is required (learning rate)")
        yield from _optimizer_values(arguments, prefix)
    elif kind == "scheduler":
        supplied, target = ("optimizer", "last_epoch"), _schedulers()[name]
        yield from _scheduler_values(arguments, prefix)
    else:
        supplied, target = METRIC_DATA if kind == "metric" else (), find_registered(kind, name)
    yield from check_arguments(target, arguments, prefix, supplied=supplied, known=known_hints(name))
    if name == "PerceptualLoss":
        yield from _vgg_layers(arguments, prefix)


def _optimizer_values(arguments: dict[str, Any], prefix: str) -> Iterator[Problem]:
    for key in ("lr", "eps", "weight_decay", "momentum"):
        value = arguments.get(key)
        if isinstance(value, int | float) and value < 0:
            yield Problem(join(prefix, key), f"must be at least 0; got {show(value)}")
    betas = arguments.get("betas")
    for beta in betas if isinstance(betas, list) else ():
        if isinstance(beta, int | float) and not 0 <= beta < 1:
            yield Problem(join(prefix, "betas"), f"must be at least 0 and less than 1; got {show(beta)}")
        elif isinstance(beta, int):  # torch refuses [0, 0.99]
            yield Problem(join(prefix, "betas"), f"write {float(beta)} instead of {beta}: torch wants fractions here")


def _scheduler_values(arguments: dict[str, Any], prefix: str) -> Iterator[Problem]:
    for key in ("milestones", "periods", "restarts", "restart_weights"):
        value = arguments.get(key)
        if key in arguments and not (isinstance(value, list) and all(_is_number(item) for item in value)):
            yield Problem(join(prefix, key), f"must be a list of numbers; got {show(value)}")
    milestones = arguments.get("milestones")
    if isinstance(milestones, list) and all(map(_is_number, milestones)) and milestones != sorted(set(milestones)):
        yield Problem(join(prefix, "milestones"), f"must rise; got {show(milestones)}")
    for key, default in (("periods", None), ("restarts", [0])):
        values, weights = arguments.get(key, default), arguments.get("restart_weights", [1])
        used = key in arguments or (key == "restarts" and "milestones" in arguments)
        if used and isinstance(values, list) and isinstance(weights, list) and len(values) != len(weights):
            yield Problem(
                join(prefix, "restart_weights"),
                f"must have as many entries as {key}, {len(values)}; got {len(weights)}",
            )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _vgg_layers(arguments: dict[str, Any], prefix: str) -> Iterator[Problem]:
    from basicsr.archs.vgg_arch import NAMES, insert_bn

    key = join(prefix, "layer_weights")
    weights, vgg = arguments.get("layer_weights"), str(arguments.get("vgg_type", "vgg19"))
    names = NAMES.get(vgg.replace("_bn", ""))
    if not isinstance(weights, dict) or not weights:
        if "layer_weights" in arguments:
            yield Problem(key, f"must be a mapping from VGG layers to weights; got {show(weights)}")
    elif names is not None:
        known = insert_bn(names) if "_bn" in vgg else names
        for layer, weight in weights.items():
            if layer not in known:
                yield Problem(join(key, layer), f"{vgg} has no layer {layer!r}{did_you_mean(str(layer), known)}")
            elif not _is_number(weight):
                yield Problem(join(key, layer), f"must be a number; got {show(weight)}")
