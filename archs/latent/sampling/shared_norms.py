"""Group norms with the same statistics for all tiles of an image, so that tiles do not differ in tone."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import NamedTuple

from prismsr.archs.latent.sampling.latent_tiling import Window

import torch
from torch import Tensor, nn

Sums = dict[nn.GroupNorm, Tensor]


class Tile(NamedTuple):
    """A tile over which statistics are gathered.

    `run` calls the network with it. All norms are called once, in an order that is the same for all tiles. Maps within
    the network are multiples or fractions of `size`, (h, w). The cores of all tiles cover the image once.
    """

    run: Callable[[], object]
    size: tuple[int, int]
    core: Window


class SharedNorms:
    """The group norms of a network that runs over an image in tiles, with statistics over all tiles.

    What a norm is given depends on the norms before it. So statistics are gathered in stages, a pass over the tiles
    each: of a few norms in the order in which they are called, while those of earlier stages work with what was
    gathered, those of the same one with their tile's own, and what comes after is left out. With as many stages as
    norms the statistics are those of the whole image, as far as nothing sees from a tile's core beyond the tile. (Ours.
    The tiling in SeeSR and PASD gathers them layer by layer; for that all tiles' maps have to be kept.)

    The network is in evaluation mode. `sums` are number, sum and sum of squares, (3, B, groups) float64, of what each
    norm was given.
    """

    def __init__(self, network: nn.Module) -> None:
        self.norms = [module for module in network.modules() if isinstance(module, nn.GroupNorm)]
        self.sums: Sums = {}

    def measure(self, tiles: Sequence[Tile], stages: int) -> None:
        """Gather statistics of the tiles, in so many stages."""
        stages = min(stages, len(self.norms))
        order: dict[nn.GroupNorm, int] = {}
        for stage in range(1, stages + 1):
            gathered: Sums = {}
            last = len(self.norms) * stage // stages - 1
            for tile in tiles:
                forward = partial(self._measure, tile, order, gathered, last)
                with suppress(_StageEndError), _replace_forward(self.norms, forward):
                    tile.run()
            self.sums |= gathered

    @contextmanager
    def apply_statistics(self) -> Iterator[None]:
        """Use the gathered statistics while it lasts."""
        with _replace_forward(self.norms, self._apply):
            yield

    def _measure(
        self, tile: Tile, order: dict[nn.GroupNorm, int], gathered: Sums, last: int, norm: nn.GroupNorm, x: Tensor
    ) -> Tensor:
        if norm in self.sums:
            return self._apply(norm, x)
        sums = _sums(norm, _cut_core(x, tile))
        gathered[norm] = gathered[norm] + sums if norm in gathered else sums
        if order.setdefault(norm, len(order)) == last:
            raise _StageEndError
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


class _StageEndError(Exception):
    """The last norm of a stage has been reached."""


def _cut_core(x: Tensor, tile: Tile) -> Tensor:
    """Return the part of a norm's input, (B, C, H, W) or flat (B, C, H W), that lies in the tile's core."""
    height, width = tile.size
    if x.ndim == 3:
        factor = (x.shape[-1] / (height * width)) ** 0.5
        x = x.unflatten(-1, (round(height * factor), round(width * factor)))
    sides = zip(tile.core, x.shape[-2:], tile.size, strict=True)
    return Window(*(slice(p.start * side // own, p.stop * side // own) for p, side, own in sides)).of(x)


def _sums(norm: nn.GroupNorm, x: Tensor) -> Tensor:
    groups = x.reshape(len(x), norm.num_groups, -1).to(torch.promote_types(x.dtype, torch.float32))
    variance, mean = (value.double() for value in torch.var_mean(groups, -1, correction=0))
    count = torch.full_like(mean, groups.shape[-1])
    return torch.stack((count, count * mean, count * (variance + mean.square())))


@contextmanager
def _replace_forward(norms: list[nn.GroupNorm], forward: Callable[[nn.GroupNorm, Tensor], Tensor]) -> Iterator[None]:
    for norm in norms:
        norm.forward = partial(forward, norm)  # type: ignore[method-assign]
    try:
        yield
    finally:
        for norm in norms:
            del norm.forward  # the class's again
