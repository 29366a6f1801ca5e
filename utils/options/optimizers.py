"""The optimisers an option file may name (BasicSR 1.4.2 itself knows Adam alone)."""

import importlib
from collections.abc import Callable, Iterable
from typing import Any

from prismsr.utils.errors import OptionError

import torch

MIN_8BIT_SIZE = 4096
"""Elements from which on bitsandbytes keeps a tensor's state in 8 bits."""


def adam8bit(
    params: Iterable[Any],
    lr: float = 1e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
) -> torch.optim.Optimizer:
    """Return bitsandbytes' Adam, whose state takes 2 bytes a parameter instead of 8.

    Raises:
        OptionError: bitsandbytes is not installed, or cannot update tensors on the parameters' device.
    """
    try:
        optim: Any = importlib.import_module("bitsandbytes.optim")
    except Exception as error:  # it loads its own CUDA library, which fails in many ways
        raise OptionError(
            "train.optim_g: Adam8bit needs the package bitsandbytes, which cannot be imported here "
            f"({type(error).__name__}: {error}). Install it (pip install bitsandbytes), or set Adam."
        ) from error
    optimizer: torch.optim.Optimizer = optim.Adam8bit(params, lr, betas, eps, weight_decay)
    _try_update(optim.Adam8bit, optimizer.param_groups[0]["params"][0].device)
    return optimizer


def _try_update(kind: Callable[..., torch.optim.Optimizer], device: torch.device) -> None:
    """Update a tensor of zeros: without a library for the device, bitsandbytes says so only here, not in words."""
    tensor = torch.zeros(MIN_8BIT_SIZE, device=device, requires_grad=True)
    tensor.grad = torch.zeros_like(tensor)
    try:
        kind([tensor]).step()
    except Exception as error:
        first_line = (str(error).splitlines() or [""])[0]
        raise OptionError(
            f"train.optim_g: Adam8bit of the bitsandbytes installed here cannot run on {device} "
            f"({type(error).__name__}: {first_line}). Install another version (0.50.2 runs on the CPU), or set Adam."
        ) from error


OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    optimizer.__name__: optimizer
    for optimizer in (
        torch.optim.Adam,
        torch.optim.AdamW,
        torch.optim.Adamax,
        torch.optim.NAdam,
        torch.optim.RAdam,
        torch.optim.RMSprop,
        torch.optim.SGD,
    )
} | {"Adam8bit": adam8bit}
WITHOUT_FOREACH = frozenset(("Adam8bit",))
FUSED = frozenset(("Adam", "AdamW", "SGD"))
"""Those that take `fused` and then know `found_inf`: 1 on the device leaves an update out."""
