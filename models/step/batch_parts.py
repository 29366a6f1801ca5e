"""Gradient accumulation: a batch in equal parts, one after the other, then one update."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel


class Part(NamedTuple):
    """Samples of a batch; None where absent.

    lq (b, C, h, w); gt, gt_usm and gt_negative (b, C, H, W); gt_mask and negative_map (b, 1, H, W).
    """

    lq: Tensor
    gt: Tensor
    gt_mask: Tensor | None = None
    gt_usm: Tensor | None = None
    gt_negative: Tensor | None = None
    negative_map: Tensor | None = None


Samples = TypeVar("Samples", bound=tuple[Any, ...])
"""A named tuple of tensors or None whose first is lq: Part, or another model's."""


def split_batch(batch: Samples, parts: int) -> list[Samples]:
    """The batch in `parts` parts of equal size, in order; ValueError where it cannot be divided."""
    if parts == 1:
        return [batch]
    samples = len(batch[0])
    size, rest = divmod(samples, parts)
    if rest or not size:
        raise ValueError(f"train.accum_iter: {parts} equal parts of a batch of {samples} samples do not exist.")
    split = [[None] * parts if tensor is None else tensor.split(size) for tensor in batch]
    return [type(batch)(*part) for part in zip(*split, strict=True)]


def joined(outputs: list[Tensor]) -> Tensor:
    """The parts' outputs as one batch (B, C, H, W)."""
    return outputs[0] if len(outputs) == 1 else torch.cat(outputs)


def communicating(net: nn.Module, last: bool) -> AbstractContextManager[Any]:
    """Context of a part's forward and backward pass: processes average gradients in the last part only."""
    return nullcontext() if last or not isinstance(net, DistributedDataParallel) else net.no_sync()


def add_figures(log: dict[str, Tensor], figures: Mapping[str, Tensor], parts: int) -> None:
    """Add a part's share of the mean of each figure to the log, without its graph."""
    for name, figure in figures.items():
        share = figure.detach() / parts if parts > 1 else figure.detach()
        log[name] = log[name] + share if name in log else share
