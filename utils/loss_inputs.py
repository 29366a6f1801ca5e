"""What a loss asks of a training step: names in its class attribute `inputs`, in the order of forward's arguments."""

import inspect
from typing import Any

DEFAULT_INPUTS = ("sr", "gt")
"""What a loss without the attribute gets, BasicSR's among them."""


def input_names(loss: Any) -> tuple[str, ...]:
    """Return the names that a loss, or its class, asks for."""
    return tuple(getattr(loss, "inputs", DEFAULT_INPUTS))


def required_inputs(loss: Any) -> tuple[str, ...]:
    """Return those of `input_names` that must be there; where forward's argument has the default None, one may lack.

    Example:
        >>> class Loss:
        ...     inputs = ("sr", "gt", "gt_mask")
        ...     def forward(self, sr, gt, gt_mask=None): ...
        >>> required_inputs(Loss)
        ('sr', 'gt')
    """
    names = input_names(loss)
    arguments = [each for each in inspect.signature(loss.forward).parameters.values() if each.name != "self"]
    optional = {name for name, argument in zip(names, arguments, strict=False) if argument.default is None}
    return tuple(name for name in names if name not in optional)
