"""Group norms with the same statistics for all tiles of an image, so that tiles do not differ in tone."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor, nn


class SharedNorms:
    """The group norms of a network that runs over an image in tiles.

    In a first pass, `measured`, every norm works with its tile's own statistics and collects them; in the second,
    `applied`, with what they are over all tiles. Those are not quite the whole image's, since in the first pass the
    layers before were normalised tile by tile, but they are the same in each tile. (Ours; to gather them layer by
    layer, as the tiling in SeeSR and PASD does, all tiles' maps have to be kept.)

    Args:
        network: in evaluation mode.
    """

    def __init__(self, network: nn.Module) -> None:
        self.norms = [module for module in network.modules() if isinstance(module, nn.GroupNorm)]
        self.sums: dict[nn.GroupNorm, Tensor] = {}

    @contextmanager
    def measured(self) -> Iterator[None]:
        """While it lasts, statistics are collected."""
        with _replaced(self.norms, self._measure):
            yield

    @contextmanager
    def applied(self) -> Iterator[None]:
        """While it lasts, the collected statistics are used."""
        with _replaced(self.norms, self._apply):
            yield

    def _measure(self, norm: nn.GroupNorm, x: Tensor) -> Tensor:
        groups = x.reshape(len(x), norm.num_groups, -1).to(torch.promote_types(x.dtype, torch.float32))
        variance, mean = (value.double() for value in torch.var_mean(groups, -1, correction=0))
        count = torch.full_like(mean, groups.shape[-1])
        sums = torch.stack((count, count * mean, count * (variance + mean.square())))
        self.sums[norm] = self.sums.get(norm, torch.zeros_like(sums)) + sums
        return nn.functional.group_norm(x, norm.num_groups, norm.weight, norm.bias, norm.eps)

    def _apply(self, norm: nn.GroupNorm, x: Tensor) -> Tensor:
        count, total, square = self.sums[norm]
        mean = total / count
        deviation = (square / count - mean.square()).clamp(min=0).add(norm.eps).sqrt()
        width = x.shape[1] // norm.num_groups
        scale = norm.weight / deviation.repeat_interleave(width, 1)
        shift = norm.bias - mean.repeat_interleave(width, 1) * scale
        shape = (*scale.shape, *[1] * (x.ndim - 2))
        kind = torch.promote_types(x.dtype, torch.float32)  # as group_norm under autocast
        return torch.addcmul(shift.to(kind).view(shape), x.to(kind), scale.to(kind).view(shape))


@contextmanager
def _replaced(norms: list[nn.GroupNorm], forward: Callable[[nn.GroupNorm, Tensor], Tensor]) -> Iterator[None]:
    for norm in norms:
        norm.forward = partial(forward, norm)  # type: ignore[method-assign]
    try:
        yield
    finally:
        for norm in norms:
            del norm.forward  # the class's again
