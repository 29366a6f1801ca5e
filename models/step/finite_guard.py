"""What happens when a gradient is NaN or infinite: no update, a warning that names the cause, and an end to it."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from prismsr.models.step.batch_parts import Batch, split_batch
from prismsr.models.step.precision import Precision
from prismsr.models.step.verdicts import GENERATOR, Verdicts
from prismsr.utils.errors import NonFiniteError

import torch
from basicsr.utils import get_root_logger
from torch import Tensor, distributed, nn
from torch.nn.utils import clip_grads_with_norm_, get_total_norm


@dataclass
class Cause:
    """What was not finite: names of losses (empty: a gradient alone) and of the samples they were computed from."""

    losses: list[str]
    samples: list[str]


class FiniteGuard:
    """Accepts an update by the norm of its gradient; refuses it, and puts the networks' buffers back, if not finite.

    Processes that train together see the same averaged gradient and so decide alike without asking each other; only
    once an update is refused do they exchange what they know of the cause.

    To accept or refuse, the CPU waits for the norm. With `deferred` the device decides by itself, and the guard tells a
    step later what was refused; this takes optimisers that know `found_inf`, and no loss scale.

    Args:
        networks: net_g as "g" and the discriminators by name, on their device already.
        limit: after so many steps in a row with a refused update, training ends.
        precision: tells whether a loss scale may be the cause.
        batch: gives the present batch, whose samples may be the cause.
    """

    def __init__(
        self, networks: Mapping[str, nn.Module], limit: int, precision: Precision, batch: Callable[[], Batch]
    ) -> None:
        self.networks = networks
        self.limit = limit
        self.precision = precision
        self.batch = batch
        self.deferred = False
        self._present: Verdicts | None = None
        self._last: Verdicts | None = None
        self.skipped_in_row = 0
        self._buffers = {name: list(net.buffers()) for name, net in networks.items()}
        self._kept = {name: [buffer.clone() for buffer in buffers] for name, buffers in self._buffers.items()}

    def begin(self, iteration: int) -> None:
        """Start a step: remember the buffers (batch-norm statistics, spectral-norm vectors) of all networks."""
        self.iteration = iteration
        self.accepted: set[str] = set()
        self.message = ""  # of the last refused update of this step
        self.losses_finite = True
        self.counted = False
        self._present = Verdicts(iteration, self.batch()) if self.deferred else None
        for name, buffers in self._buffers.items():
            _copy(self._kept[name], buffers)

    def accepts(self, name: str, norm: Tensor, losses: Mapping[str, Tensor]) -> bool:
        """Return whether network `name` may be updated; a refused "g" means that the whole step is left out.

        The norm is that of the network's whole gradient; losses are what it is of, by log name. All are scalars.
        """
        if math.isfinite(norm.item()):
            self.accepted.add(name)
            return True
        for refused in self.networks if name == GENERATOR else {name, GENERATOR} - self.accepted:
            _copy(self._buffers[refused], self._kept[refused])
        self._refuse(name, [key for key, value in losses.items() if not math.isfinite(value.item())], self.batch())
        return False

    def judge(self, name: str, norm: Tensor, losses: Mapping[str, Tensor]) -> Tensor:
        """Return 1 where network `name` may not be updated, else 0, a scalar on the device; see `accepts`."""
        assert self._present is not None
        others = set(self.networks) if name == GENERATOR else {name, GENERATOR} - self._present.refused.keys()
        bad = self._present.judge(name, norm, losses)
        for other in others:
            for buffer, kept in zip(self._buffers[other], self._kept[other], strict=True):
                buffer.copy_(torch.where(bad > 0, kept, buffer))
        return bad

    @property
    def refused(self) -> Tensor | None:
        """Return 1 where the device refused the generator's update of this step, else 0; None if it was not asked."""
        return None if self._present is None else self._present.refused.get(GENERATOR)

    def end(self) -> None:
        """End a step; NonFiniteError where it was one too many in a row with a refused update."""
        if self._present is None:
            self._count()
            return
        self._present.send()
        self.catch_up()
        self._last = self._present

    def catch_up(self) -> None:
        """Tell what the device refused in the last step."""
        last, self._last = self._last, None
        if last is not None:
            self.iteration, self.message, self.counted = last.iteration, "", False
            for name, losses in last.causes.items():
                self._refuse(name, losses, last.batch)
            self._count()

    def _count(self) -> None:
        if not self.message:
            self.skipped_in_row = 0
        elif self.counted and self.skipped_in_row >= self.limit:
            raise NonFiniteError(
                f"Training stopped at iteration {self.iteration}: {self.skipped_in_row} updates in a row were skipped "
                f"(train.max_skipped_updates). {self.message} The weights are those of the last good update. "
                f"To try: {self._advice()}."
            )

    def _refuse(self, name: str, losses: list[str], batch: Batch) -> None:
        cause = _gather_causes(Cause(losses, name_suspects(batch)))
        self.losses_finite = self.losses_finite and not cause.losses
        if not self.counted and not (self.losses_finite and self.precision.searching):
            self.counted = True
            self.skipped_in_row += 1
        gradient = f"All losses are finite, the gradient of net_{name} is not."
        what = f"Not finite: {', '.join(cause.losses)}." if cause.losses else gradient
        self.message = f"{what} Samples: {', '.join(cause.samples)}."
        whole = "the update" if name == GENERATOR else f"the update of net_{name}"
        number = f"{self.skipped_in_row} in a row" if self.counted else "the fp16 loss scale is lowered"
        get_root_logger().warning(f"Iteration {self.iteration}: {whole} is skipped ({number}). {self.message}")

    def _advice(self) -> str:
        amp = {"fp16": ["train.amp: bf16 instead of fp16"], "bf16": ["training without train.amp"]}
        ways = ["a lower learning rate", "train.grad_clip", *amp.get(self.precision.amp or "", [])]
        return ", ".join([*ways, "a look at these samples"])


def name_suspects(batch: Batch) -> list[str]:
    """Return names of the samples that hold a value that is not finite; of the whole batch where none or all do."""
    count = len(batch["lq"])
    names = list(batch.get("gt_path") or batch.get("lq_path") or [])
    if len(names) != count:
        names = [f"number {position} of the batch" for position in range(1, count + 1)]
    samples = zip(names, split_batch(batch, count), strict=True)
    return [name for name, sample in samples if not _is_finite(sample)] or names


def _is_finite(batch: Batch) -> bool:
    return all(bool(value.isfinite().all()) for value in batch.values() if isinstance(value, Tensor))


@torch.no_grad()
def _copy(to: list[Tensor], values: list[Tensor]) -> None:
    if to:
        torch._foreach_copy_(to, values)


def _gather_causes(cause: Cause) -> Cause:
    if not (distributed.is_available() and distributed.is_initialized()):
        return cause
    causes: list[Cause] = [cause] * distributed.get_world_size()
    distributed.all_gather_object(causes, cause)
    guilty = [one for one in causes if one.losses] or causes
    losses = dict.fromkeys(name for one in guilty for name in one.losses)
    return Cause(list(losses), [sample for one in guilty for sample in one.samples])


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
