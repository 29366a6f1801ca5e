"""Find the classes and functions that an option file names, and what they declare for the checks of the file.

Each may have two hooks. `check_options(entry, key, opt, is_train)` yields a Problem for what does not agree between its
own entry and the rest of the file. `weights_needed(arguments, key)` yields a Need for what its arguments make it load.
A class has them as class methods, a function as attributes (`declares`). A model may read sections of its own: the
schema of its top level (TOP) names in SECTIONS who has the hooks of each.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, TypeVar

from prismsr.utils.names import nearest
from prismsr.utils.options.basicsr_tables import DATASETS, MODELS
from prismsr.utils.options.entries import find_registered, registered_names
from prismsr.utils.options.problems import Problem, join
from prismsr.utils.options.schema import DatasetOptions, TrainOptions, entry_kind
from prismsr.utils.options.sections import section

Function = TypeVar("Function", bound=Callable[..., Any])


class Named(NamedTuple):
    """What an option file names: the registered class or function, its entry {type: X, **arguments}, and its key path.

    Of a section in SECTIONS the target is who has its hooks. The model's entry is the whole file, and its key "".
    """

    target: Any
    entry: Mapping[str, Any]
    key: str


def named_parts(opt: Mapping[str, Any], is_train: bool) -> Iterator[Named]:
    """Yield what an option file names and what is registered: the model, networks, sections, datasets, losses, metrics.

    What only a training uses comes with `is_train`.
    """
    schema = model_schema(opt)
    yield Named(find_model(opt), opt, "")
    yield from _registered("arch", {str(key): opt[key] for key in opt if str(key).startswith("network_")}, "")
    for key, owner in schema.TOP.SECTIONS.items() if schema and is_train else ():
        if isinstance(opt.get(key), Mapping):
            yield Named(owner, opt[key], key)
    datasets = section(opt, "datasets").items()
    yield from _registered("dataset", {key: entry for key, entry in datasets if is_train or key != "train"}, "datasets")
    if is_train:
        yield from named_losses(opt)
    yield from _registered("metric", section(opt, "val", "metrics"), "val.metrics")


def ask_hook(part: Named, opt: Mapping[str, Any], is_train: bool) -> Iterator[Problem]:
    """Yield what the hook `check_options` of a part finds, if it has one."""
    if hasattr(part.target, "check_options"):
        yield from part.target.check_options(part.entry, part.key, opt, is_train)


def named_losses(opt: Mapping[str, Any]) -> Iterator[Named]:
    """Yield the losses of `train`: BasicSR's keys of one loss each, and the entries of `losses`."""
    train, schema = section(opt, "train"), model_schema(opt)
    single = [key for key, field in schema.model_fields.items() if entry_kind(field) == "loss"] if schema else []
    yield from _registered("loss", {key: train.get(key) for key in single}, "train")
    yield from _registered("loss", section(train, "losses"), "train.losses")


def _registered(kind: str, entries: Mapping[str, Any], prefix: str) -> Iterator[Named]:
    for key, entry in entries.items():
        target = find_registered(kind, str(entry.get("type"))) if isinstance(entry, Mapping) else None
        if target is not None:
            yield Named(target, entry, join(prefix, key))


def find_model(opt: Mapping[str, Any]) -> Any:
    """Return the class of `model_type`; where it is misspelt that of the nearest name, to check the rest by it."""
    name, known = str(opt.get("model_type")), registered_names("model")
    return find_registered("model", name if name in known else nearest(name, known) or name)


def model_schema(opt: Mapping[str, Any]) -> type[TrainOptions] | None:
    """Return the schema of `train` that the model declares, or that is known of BasicSR's; None for others."""
    model = find_model(opt)
    return getattr(model, "OPTIONS", None) or MODELS.get(getattr(model, "__name__", ""))


def dataset_schema(entry: Mapping[str, Any]) -> type[DatasetOptions] | None:
    """Return the schema of a dataset's entry; None where its class declares none, or is not registered."""
    name = str(entry.get("type"))
    return getattr(find_registered("dataset", name), "OPTIONS", None) or DATASETS.get(name)


def complete_arguments(target: Callable[..., Any], entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of an entry {type: X, **arguments}, completed by the defaults of the signature of X."""
    parameters = inspect.signature(target).parameters.items()
    defaults = {name: item.default for name, item in parameters if item.default is not item.empty}
    return {**defaults, **{key: value for key, value in entry.items() if key != "type"}}


def declares(**hooks: Callable[..., Any]) -> Callable[[Function], Function]:
    """Return a decorator that puts hooks on a function, such as a metric, as a class has them as class methods."""

    def put(function: Function) -> Function:
        for name, hook in hooks.items():
            setattr(function, name, hook)
        return function

    return put
