"""Batches for BasicSR's loop: one epoch after another from one endless loader, whose workers never stop."""

from collections.abc import Callable, Iterator
from typing import Any

from prismsr.data.loading.sampler import SeededBatchSampler

import torch


class Feed:
    """Stands in the place of BasicSR's CPUPrefetcher.

    BasicSR makes a new iterator for each epoch, which waits for the workers to fill up again (and starts them anew,
    without persistent_workers). Here the workers go on into the next epoch by themselves.

    Args:
        loader: DataLoader over a SeededBatchSampler.
        unwrap: turns what the loader yields into the batch's mapping; may raise.
        step_done: called when the loop comes back for more, i.e. after each iteration; returns whether to go on.
        starting: called once, before the first batch is loaded.
    """

    def __init__(
        self,
        loader: Any,
        unwrap: Callable[[Any], dict[str, Any]],
        step_done: Callable[[], bool],
        starting: Callable[[], None],
    ) -> None:
        self.loader = loader
        self.unwrap = unwrap
        self.step_done = step_done
        self.starting = starting
        self.sampler: SeededBatchSampler = loader.batch_sampler
        self.started, self.go_on = False, True
        self.iterator: Iterator[Any] | None = None
        self.epoch = self.left = 0
        self.taken = 0  # samples of this epoch, over all processes
        self._next_epoch: int | None = None  # where the iterator stands
        self._in_step = False

    def reset(self) -> None:
        """Begin the epoch that the sampler was set to, where it was set to begin."""
        if not self.started:
            self.started = True
            self.starting()
        if not self.go_on:  # the loop goes through the epochs left; the place of the last iteration stays known
            return
        self.epoch, self.taken = self.sampler.epoch, self.sampler.start
        self.left = self.sampler.batches_left()
        if self.left == 0:
            return
        if self.iterator is None or self.sampler.epoch != self._next_epoch or self.sampler.start:
            self.iterator = None  # the old workers end before new ones begin
            self.iterator = self._iterate()
        self._next_epoch = self.sampler.epoch + 1

    def _iterate(self) -> Iterator[Any]:
        return iter(self.loader)

    def next(self) -> dict[str, Any] | None:
        """Return the next batch, or None at the end of the epoch or of the training."""
        if self._in_step:
            self._in_step = False
            self.go_on = self.step_done()
        if self.left == 0 or self.iterator is None or not self.go_on:
            return None
        data = self.unwrap(next(self.iterator))
        self.left -= 1
        self.taken += self.sampler.step
        self._in_step = True
        return data

    def close(self) -> None:
        """End the workers."""
        self.iterator = None


class CUDAFeed(Feed):
    """The same with the next batch on its way to the GPU while this one is trained on (prefetch_mode: cuda)."""

    def _iterate(self) -> Iterator[Any]:
        stream = torch.cuda.Stream()
        batches = iter(self.loader)
        ahead = _to_gpu(next(batches), stream)
        while True:
            torch.cuda.current_stream().wait_stream(stream)
            for value in _tensors(ahead):
                value.record_stream(torch.cuda.current_stream())  # else its memory may be reused too early
            current, ahead = ahead, _to_gpu(next(batches), stream)
            yield current


def _to_gpu(batch: Any, stream: Any) -> Any:
    if batch.data is None:
        return batch
    with torch.cuda.stream(stream):
        moved = {
            key: value.to("cuda", non_blocking=True) if torch.is_tensor(value) else value
            for key, value in batch.data.items()
        }
    return batch._replace(data=moved)


def _tensors(batch: Any) -> Iterator[torch.Tensor]:
    return (value for value in (batch.data or {}).values() if torch.is_tensor(value))
