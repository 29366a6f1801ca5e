"""Means of a training's figures over the steps since they were last read."""

from collections import OrderedDict
from collections.abc import Mapping

import torch
from torch import Tensor


class MeanFigures:
    """Sums figures on their device, so that no step waits for it.

    One step of many says little of a loss: crops differ more than its course does. A value that is not finite is left
    out (its step was refused, and told); a figure without a finite value is nan.

    Example:
        >>> figures = MeanFigures()
        >>> for value in (1.0, 3.0, float("nan")):
        ...     figures.add({"l_pix": torch.tensor(value)})
        >>> figures.read()["l_pix"].item()
        2.0
        >>> figures.add({"l_pix": torch.tensor(5.0)})
        >>> figures.read()["l_pix"].item()
        5.0
    """

    def __init__(self) -> None:
        self._sums: dict[tuple[str, ...], Tensor] = {}  # by the names that came together: sums and counts
        self._was_read = False

    def add(self, figures: Mapping[str, Tensor]) -> None:
        """Add the figures of a step, scalars; after a reading they begin anew."""
        if self._was_read:
            self._sums, self._was_read = {}, False
        if not figures:
            return
        values = torch.stack([value.detach().reshape(()) for value in figures.values()])
        finite = values.isfinite()
        both = torch.stack([values.where(finite, 0), finite.to(values)])
        names = tuple(figures)
        self._sums[names] = self._sums[names] + both if names in self._sums else both

    def read(self) -> "OrderedDict[str, Tensor]":
        """Return the means, scalars; the same again until the next step."""
        self._was_read = True
        totals: OrderedDict[str, Tensor] = OrderedDict()
        for names, both in self._sums.items():
            for name, pair in zip(names, both.unbind(1), strict=True):
                totals[name] = totals[name] + pair if name in totals else pair
        return OrderedDict((name, total / count) for name, (total, count) in totals.items())

    def state(self) -> dict[tuple[str, ...], Tensor]:
        """Return what a resumed run needs to read the same means."""
        return {} if self._was_read else self._sums

    def load_state(self, state: Mapping[tuple[str, ...], Tensor], device: torch.device) -> None:
        """Take over what `state` returned."""
        self._sums = {tuple(names): both.to(device) for names, both in state.items()}
