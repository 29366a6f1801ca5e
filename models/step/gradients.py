"""The update of a network by its gradient: scaled back, measured, clipped, and refused where it is not finite."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import clip_grads_with_norm_, get_total_norm


def update(model: Any, name: str, optimizer: torch.optim.Optimizer, losses: Mapping[str, Tensor]) -> bool:
    """Update a network by the gradients it has, clipped; or not at all, where they are not finite.

    Return whether it is updated, or whether that is left to the device (see FiniteGuard).

    Args:
        model: a PrismSRModel, whose log gets the norm where there is a limit to it.
        name: "g", or a discriminator's.
        optimizer: the network's.
        losses: what the gradient is of, by log name, scalars.
    """
    model.precision.unscale(optimizer)
    parameters = [tensor for group in optimizer.param_groups for tensor in group["params"] if tensor.grad is not None]
    norm = get_total_norm([tensor.grad for tensor in parameters])
    if model.grad_clip is not None:
        model._log[f"grad_norm_{name}"] = norm
    if model.guard.deferred:
        optimizer.found_inf = model.guard.judge(name, norm, losses)  # type: ignore[attr-defined]
    elif not model.guard.accepts(name, norm, losses):
        return False
    if model.grad_clip is not None:
        clip_grads_with_norm_(parameters, model.grad_clip, norm)
    optimizer.step()
    return True
