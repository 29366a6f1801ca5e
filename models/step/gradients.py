"""The gradient of a whole network: its norm, and clipping by it."""

import torch
from torch import Tensor
from torch.nn.utils import clip_grads_with_norm_, get_total_norm


def list_optimized(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    """Return the optimiser's parameters that have a gradient."""
    return [tensor for group in optimizer.param_groups for tensor in group["params"] if tensor.grad is not None]


def total_norm(parameters: list[Tensor]) -> Tensor:
    """Return Euclidean norm of all gradients together, a scalar."""
    return get_total_norm([tensor.grad for tensor in parameters if tensor.grad is not None])


def clip(parameters: list[Tensor], limit: float, norm: Tensor) -> None:
    """Shorten the gradient to the length `limit` where its norm is larger."""
    clip_grads_with_norm_(parameters, limit, norm)
