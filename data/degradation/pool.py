"""The training pair pool of Real-ESRGAN: batches are mixed from samples of many steps."""

from collections.abc import Sequence
from typing import Any

from prismsr.utils.errors import UserError

import torch
from torch import Tensor

Batch = dict[str, Tensor]


class TrainingPool:
    """Keeps `size` samples; once full, each batch goes in and as many samples of a shuffled pool come out.

    A batch shares the sizes that its images were resized to; mixed with other batches its samples differ in them. Until
    the pool is full a batch is kept and returned as it is. Samples and random draws (torch.randperm on the CPU) are
    those of BasicSR's RealESRGANModel; here an order is shuffled instead of the images, so that a step copies one batch
    and not the whole pool. The size is a multiple of the batch size.
    """

    def __init__(self, size: int) -> None:
        self.size, self.filled = size, 0
        self._samples: Batch = {}
        self._names: list[str] = []
        self._order = torch.arange(size)

    def exchange(self, batch: Batch, names: Sequence[str] = ()) -> tuple[Batch, list[str]]:
        """Put a batch in and take one out; return that, and what its samples are called.

        Args:
            batch: tensors (B, ...) by name; names and shapes are the same in every call.
            names: what the B samples are called in messages.

        Raises:
            UserError: the pool's size is no multiple of B, or the batch differs in names or shapes from the first.
        """
        count = len(next(iter(batch.values())))
        self._require_fitting(batch, count)
        names = list(names) or [""] * count
        if self.filled < self.size:
            for name, samples in self._samples.items():
                samples[self.filled : self.filled + count] = batch[name]
            self._names += names
            self.filled += count
            return batch, names
        self._order = self._order[torch.randperm(self.size)]
        places = self._order[:count]
        there = places.to(next(iter(batch.values())).device, non_blocking=True)
        taken = {name: samples[there] for name, samples in self._samples.items()}
        for name, samples in self._samples.items():
            samples[there] = batch[name]
        taken_names = [self._names[place] for place in places.tolist()]
        for place, name in zip(places.tolist(), names, strict=True):
            self._names[place] = name
        return taken, taken_names

    def _require_fitting(self, batch: Batch, count: int) -> None:
        if self.size % count or (self.filled < self.size and self.filled % count):
            raise UserError(
                f"degradation.queue_size, {self.size}, must be a multiple of datasets.train.batch_size_per_gpu, "
                f"{count}, and the batch size must not change while the pool fills."
            )
        if not self._samples:
            self._samples = {name: value.new_zeros(self.size, *value.shape[1:]) for name, value in batch.items()}
        has = {name: tuple(value.shape[1:]) for name, value in self._samples.items()}
        comes = {name: tuple(value.shape[1:]) for name, value in batch.items()}
        if has != comes:
            raise UserError(
                f"The training pool holds samples of {has}, but this batch is of {comes}: degradation.gt_size, scale "
                "and the use of masks cannot change within a training."
            )

    def state(self) -> dict[str, Any]:
        """Return the pool's content as plain tensors and numbers, a copy on the CPU, for `load_state`.

        Values k / 255 with a whole k, as 8-bit images and masks have them, are kept as bytes: a quarter of the size.
        """
        places = self._order[: self.filled]
        samples = {name: _to_bytes(value[places].cpu()) for name, value in self._samples.items()}
        names = [self._names[place] for place in places.tolist()]
        as_bytes = [name for name, value in samples.items() if value.dtype != self._samples[name].dtype]
        return {
            "size": self.size, "filled": self.filled, "samples": samples, "names": names, "as_bytes": as_bytes,
        }  # fmt: skip

    def load_state(self, state: dict[str, Any], device: torch.device | str = "cpu") -> None:
        """Go on from a state that `state` returned; UserError where it is of a pool of another size."""
        if state["size"] != self.size:
            raise UserError(
                f"The training to resume has degradation.queue_size {state['size']}, but the options say {self.size}."
            )
        self.filled = state["filled"]
        self._order = torch.arange(self.size)
        self._names = list(state["names"])
        self._samples = {}
        as_bytes = state.get("as_bytes", state["samples"])  # states of older versions hold no other bytes
        for name, value in state["samples"].items():
            kept = (_from_bytes(value) if name in as_bytes else value).to(device)
            self._samples[name] = kept.new_zeros(self.size, *kept.shape[1:])
            self._samples[name][: self.filled] = kept


def _to_bytes(value: Tensor) -> Tensor:
    """Return the values as uint8 where `_from_bytes` gives exactly the same back, else as they are."""
    if value.dtype != torch.float32:
        return value.clone()
    as_bytes = (value * 255).round().clamp(0, 255).to(torch.uint8)
    return as_bytes if torch.equal(_from_bytes(as_bytes), value) else value.clone()


def _from_bytes(value: Tensor) -> Tensor:
    return value.float() / 255 if value.dtype == torch.uint8 else value
