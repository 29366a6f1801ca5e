"""Load what validation metrics need before a training starts, so that missing weights do not end it hours later."""

from collections.abc import Mapping
from typing import Any

from prismsr.utils.options.entries import find_registered
from prismsr.utils.rng import keep_generators


def load_metrics(metrics: Mapping[str, Mapping[str, Any]]) -> None:
    """Load the networks of all of val.metrics that declare how (`load`); the random generators are kept as they were.

    Raises:
        UserError: weights are missing or do not fit, or options are wrong; from `load`, which gets the options.
    """
    with keep_generators():
        for options in metrics.values():
            load = getattr(find_registered("metric", str(options.get("type"))), "load", None)
            if load is not None:
                load(**{key: value for key, value in options.items() if key not in ("type", "better")})
