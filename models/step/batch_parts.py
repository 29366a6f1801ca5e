"""Gradient accumulation: a batch in equal parts, one after the other, then one update."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from operator import itemgetter
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

Batch = dict[str, Any]
"""What a dataset gives, collated: tensors (B, ...) and lists of B values by name, `lq` (B, C, h, w) among them."""


def map_samples(batch: Mapping[str, Any], take: Callable[[Any], Any]) -> Batch:
    """Return the batch with `take` applied to each tensor and list that has one value for each sample."""
    count = len(batch["lq"])
    return {name: take(value) if _is_per_sample(value, count) else value for name, value in batch.items()}


def _is_per_sample(value: Any, count: int) -> bool:
    return (isinstance(value, list) or (isinstance(value, Tensor) and value.ndim > 0)) and len(value) == count


def split_batch(batch: Mapping[str, Any], parts: int) -> list[Batch]:
    """Split a batch into parts of equal size, in order; what has no value for each sample goes to every part.

    ValueError where the batch cannot be divided.
    """
    samples = len(batch["lq"])
    size, rest = divmod(samples, parts)
    if rest or not size:
        raise ValueError(f"train.accum_iter: {parts} equal parts of a batch of {samples} samples do not exist.")
    return [map_samples(batch, itemgetter(slice(at, at + size))) for at in range(0, samples, size)]


def pick_samples(batch: Mapping[str, Any], indices: Tensor) -> Batch:
    """Return a batch of the samples of these indices, (n,) long, in their order."""

    def take(value: Any) -> Any:
        return value[indices] if isinstance(value, Tensor) else [value[place] for place in indices.tolist()]

    return map_samples(batch, take)


def join(outputs: list[Tensor]) -> Tensor:
    """Return the parts' outputs as one batch (B, C, H, W)."""
    return outputs[0] if len(outputs) == 1 else torch.cat(outputs)


def communicating(net: nn.Module, last: bool) -> AbstractContextManager[Any]:
    """Return context of a part's forward and backward pass: processes average gradients in the last part only."""
    return nullcontext() if last or not isinstance(net, DistributedDataParallel) else net.no_sync()


def add_figures(log: dict[str, Tensor], figures: Mapping[str, Tensor], parts: int) -> None:
    """Add a part's share of the mean of each figure to the log, without its graph."""
    for name, figure in figures.items():
        share = figure.detach() / parts if parts > 1 else figure.detach()
        log[name] = log[name] + share if name in log else share
