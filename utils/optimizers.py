"""The optimisers an option file may name (BasicSR 1.4.2 itself knows Adam alone)."""

import importlib
from collections.abc import Callable, Iterable
from typing import Any

from prismsr.utils.errors import OptionError

import torch


def adam8bit(
    params: Iterable[Any],
    lr: float = 1e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
) -> torch.optim.Optimizer:
    """bitsandbytes' Adam, whose state takes 2 bytes a parameter instead of 8; OptionError where it is not installed."""
    try:
        optim: Any = importlib.import_module("bitsandbytes.optim")
    except Exception as error:  # it loads its own CUDA library, which fails in many ways
        raise OptionError(
            "train.optim_g: Adam8bit needs the package bitsandbytes, which cannot be imported here "
            f"({type(error).__name__}: {error}). Install it (pip install bitsandbytes; it works on CUDA), or set Adam."
        ) from error
    optimizer: torch.optim.Optimizer = optim.Adam8bit(params, lr, betas, eps, weight_decay)
    return optimizer


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
