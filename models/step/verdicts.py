"""Which updates a step refused, where the device decides and the CPU does not wait for it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from prismsr.models.step.batch_parts import Batch

import torch
from torch import Tensor

GENERATOR = "g"


@dataclass
class Verdicts:
    """The verdicts of a step on its updates, to be told when they have come from the device.

    `refused` are 1 or 0, scalars, by the network that was to be updated; with the generator every discriminator is
    refused. `losses` are log names of what its gradient is of.
    """

    iteration: int
    batch: Batch
    refused: dict[str, Tensor] = field(default_factory=dict)
    losses: dict[str, list[str]] = field(default_factory=dict)
    _found: list[Tensor] = field(default_factory=list)
    _event: torch.cuda.Event | None = None

    def judge(self, name: str, norm: Tensor, losses: Mapping[str, Tensor]) -> Tensor:
        """Return 1 where a network may not be updated, else 0, a scalar; see `FiniteGuard.accepts`."""
        bad = _is_bad(norm)
        if GENERATOR in self.refused:
            bad = torch.maximum(bad, self.refused[GENERATOR])
        self.refused[name], self.losses[name] = bad, list(losses)
        self._found += [bad, *map(_is_bad, losses.values())]
        return bad

    def send(self) -> None:
        """Start the copy of all verdicts to the CPU."""
        if self._found:
            found = torch.stack(self._found)
            self._found = [found.to("cpu", non_blocking=True)]
            if found.is_cuda:
                self._event = torch.cuda.Event()
                self._event.record()

    @cached_property
    def causes(self) -> dict[str, list[str]]:
        """Return losses that were not finite by refused network; waits for `send`, not for what came after it."""
        if self._event is not None:
            self._event.synchronize()
        values = iter(self._found[0].tolist() if self._found else [])
        found = {
            name: (next(values), [loss for loss in losses if next(values)]) for name, losses in self.losses.items()
        }
        refused = {name: losses for name, (bad, losses) in found.items() if bad}
        return {GENERATOR: refused[GENERATOR]} if GENERATOR in refused else refused


def _is_bad(value: Tensor) -> Tensor:
    return value.detach().isfinite().all().logical_not().float()
