"""Sample order and augmentation from (seed, epoch, index), never from the worker."""

from collections.abc import Iterator, Sized

import numpy as np
import torch
from torch.utils.data import Sampler


class SampleIndex(int):
    """A dataset index that remembers its epoch and draw; to any dataset it is a plain int.

    The draw is unique within the epoch, of which an enlarged one visits an image several times.
    """

    epoch: int
    draw: int

    def __new__(cls, index: int, epoch: int, draw: int) -> "SampleIndex":
        """Create the index with its epoch and draw."""
        self = super().__new__(cls, index)
        self.epoch, self.draw = epoch, draw
        return self

    def __getnewargs__(self) -> tuple[int, int, int]:  # type: ignore[override]
        return int(self), self.epoch, self.draw


def sample_rng(seed: int, index: int) -> np.random.Generator:
    """Return random stream of one sample, from (seed, epoch, draw); a plain int counts as that draw of epoch 0."""
    epoch, draw = (index.epoch, index.draw) if isinstance(index, SampleIndex) else (0, index)
    return np.random.default_rng([seed, epoch, draw])


class SeededBatchSampler(Sampler[list[SampleIndex]]):
    """Batches of one process, epoch after epoch without end, in an order that depends on (seed, epoch) alone.

    BasicSR's EnlargedSampler orders by the epoch alone, so that every seed sees the same order, and always begins an
    epoch at its first sample. Here an epoch may begin anywhere, and N processes with batches of B / N take together
    what one process with batches of B takes. What does not fill a batch of all processes is left out of its epoch.

    `batch_size` is of this process, `ratio` how often an epoch visits each image. The next iteration begins in `epoch`,
    after `start` of its samples, over all processes.
    """

    def __init__(
        self, dataset: Sized, batch_size: int, num_replicas: int = 1, rank: int = 0, ratio: int = 1, seed: int = 0
    ) -> None:
        self.dataset = dataset
        self.batch_size = batch_size
        self.num_replicas = num_replicas
        self.rank = rank
        self.ratio, self.seed = ratio, seed
        self.epoch = self.start = 0
        self._seen: dict[int, int] = {}

    def __iter__(self) -> Iterator[list[SampleIndex]]:
        epoch, start, size, step = self.epoch, self.start, len(self.dataset), self.step
        while len(self):
            draws = self._order(epoch)
            for first in range(start, len(draws) - step + 1, step):
                mine = draws[first : first + step][self.rank :: self.num_replicas]
                yield [SampleIndex(draw % size, epoch, draw) for draw in mine]
            epoch, start = epoch + 1, 0

    def _order(self, epoch: int) -> list[int]:
        # one well-mixed number of (seed, epoch), so that neighbouring seeds and epochs share nothing
        mixed = np.random.SeedSequence([self.seed, epoch]).generate_state(1, np.uint64)[0] >> 1
        generator = torch.Generator()
        generator.manual_seed(int(mixed))
        return torch.randperm(self.draws, generator=generator).tolist()

    @property
    def draws(self) -> int:
        """Return samples of an epoch, over all processes."""
        return len(self.dataset) * self.ratio

    @property
    def step(self) -> int:
        """Return samples of a step, over all processes."""
        return self.batch_size * self.num_replicas

    def __len__(self) -> int:
        """Number of batches in a whole epoch."""
        return self.draws // self.step

    def batches_left(self) -> int:
        """Number of batches from (epoch, start) to the end of that epoch."""
        return max(0, self.draws - self.start) // self.step

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch in which the next iteration begins."""
        self.epoch, self.start = epoch, self._seen.pop(epoch, 0)

    def pass_over(self, epoch: int, samples: int) -> None:
        """Let that epoch begin, the next time it is chosen, after so many of its samples over all processes."""
        self._seen[epoch] = samples
