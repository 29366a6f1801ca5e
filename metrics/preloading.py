"""Load what validation metrics need before a training starts, so that missing weights do not end it hours later."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from prismsr.utils.rng import keep_generators

Loader = TypeVar("Loader", bound=Callable[..., Any])
_LOADERS: dict[str, Callable[..., Any]] = {}


def register_loader(metric: str) -> Callable[[Loader], Loader]:
    """Return a decorator for the function that loads the networks of a registered metric from its options."""

    def enter(function: Loader) -> Loader:
        _LOADERS[metric] = function
        return function

    return enter


def load_metrics(metrics: Mapping[str, Mapping[str, Any]]) -> None:
    """Load the networks of all of val.metrics that have a loader; the random generators are afterwards as they were.

    Raises:
        UserError: weights are missing or do not fit, or options are wrong; from the loader.
    """
    with keep_generators():
        for options in metrics.values():
            load = _LOADERS.get(str(options.get("type")))
            if load is not None:
                load(**{key: value for key, value in options.items() if key not in ("type", "better")})
