"""Gradient checkpointing of a network's repeated blocks: their activations are computed again instead of kept."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from prismsr.utils.errors import OptionError

import torch
from torch import nn
from torch.nn.utils.parametrize import type_before_parametrizations
from torch.utils.checkpoint import checkpoint


def checkpoint_blocks(net: nn.Module) -> None:
    """Run each of a network's repeated blocks through torch.utils.checkpoint when it trains.

    Weights, state dict and gradients stay as they are; so do batch-norm statistics and spectral norms, which the second
    forward pass would otherwise move once more. OptionError where the network has no repeated blocks.
    """
    own: Any = getattr(net, "enable_gradient_checkpointing", None)
    if own is not None:  # the network knows its blocks, as diffusers' do
        own()
        return
    for block in find_repeated_blocks(net):
        block.forward = _wrap_forward(block, block.forward)


def find_repeated_blocks(net: nn.Module) -> list[nn.Module]:
    """Return the children of one class, two or more with parameters, of the longest Sequential or ModuleList.

    RRDBNet's are the blocks of `body`. OptionError, naming the network, where there are none.
    """
    found: list[nn.Module] = []
    for module in net.modules():
        if isinstance(module, nn.Sequential | nn.ModuleList):
            blocks = _pick_largest_class([child for child in module if next(child.parameters(), None) is not None])
            found = max(found, blocks, key=len)  # the first of equally long ones, which is the outermost
    if len(found) < 2:
        raise OptionError(
            f"train.grad_checkpointing: {type(net).__name__} has no nn.Sequential or nn.ModuleList with two blocks of "
            "one class, so that there is nothing to compute again; set it to false."
        )
    return found


def _pick_largest_class(modules: list[nn.Module]) -> list[nn.Module]:
    groups: dict[type, list[nn.Module]] = {}
    for module in modules:
        groups.setdefault(type_before_parametrizations(module), []).append(module)  # LoRA gives each a class
    return max(groups.values(), key=len, default=[])


def _wrap_forward(block: nn.Module, forward: Callable[..., Any]) -> Callable[..., Any]:
    def run(*args: Any, **kwargs: Any) -> Any:
        if not (block.training and torch.is_grad_enabled()):
            return forward(*args, **kwargs)
        if next(block.buffers(), None) is None:
            return checkpoint(forward, *args, use_reentrant=False, **kwargs)
        kept = [buffer.clone() for buffer in block.buffers()]
        return checkpoint(
            forward,
            *args,
            use_reentrant=False,
            context_fn=lambda: (nullcontext(), _restore_buffers(block, kept)),
            **kwargs,
        )

    return run


@contextmanager
def _restore_buffers(block: nn.Module, kept: list[torch.Tensor]) -> Iterator[None]:
    """Let the block's buffers inside be those of the first forward pass; after it what they were before."""
    buffers = list(block.buffers())
    now = [buffer.clone() for buffer in buffers]
    _write(buffers, kept)
    try:
        yield
    finally:
        _write(buffers, now)


@torch.no_grad()
def _write(buffers: list[torch.Tensor], values: list[torch.Tensor]) -> None:
    for buffer, value in zip(buffers, values, strict=True):
        buffer.copy_(value)
