"""Sample order and augmentation from (seed, epoch, index), never from the worker."""

import math
from collections.abc import Iterator, Sized

import numpy as np
import torch
from torch.utils.data import Sampler


class SampleIndex(int):
    """A dataset index that remembers which draw of which epoch it is; to any dataset it is a plain int.

    Attributes:
        epoch: epoch of the draw.
        draw: number of the draw, unique within the epoch (an enlarged epoch visits an image several times).
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
    """Random stream of one sample, from (seed, epoch, draw); a plain int counts as that draw of epoch 0."""
    epoch, draw = (index.epoch, index.draw) if isinstance(index, SampleIndex) else (0, index)
    return np.random.default_rng([seed, epoch, draw])


class SeededSampler(Sampler[SampleIndex]):
    """BasicSR's EnlargedSampler with an order that depends on the run's seed (BasicSR's ignores it).

    Args:
        dataset: dataset to draw from; its options may hold `manual_seed` (else 0).
        num_replicas: number of processes; each gets every num_replicas-th draw.
        rank: this process.
        ratio: how often an epoch visits each image.
    """

    def __init__(self, dataset: Sized, num_replicas: int, rank: int, ratio: int = 1) -> None:
        self.dataset = dataset
        self.num_replicas = num_replicas
        self.rank = rank
        self.seed: int = getattr(dataset, "opt", {}).get("manual_seed") or 0
        self.epoch = 0
        self.num_samples = math.ceil(len(dataset) * ratio / num_replicas)
        self.total_size = self.num_samples * num_replicas

    def __iter__(self) -> Iterator[SampleIndex]:
        generator = torch.Generator()
        # one well-mixed number of (seed, epoch), so that neighbouring seeds and epochs share nothing
        generator.manual_seed(int(np.random.SeedSequence([self.seed, self.epoch]).generate_state(1, np.uint64)[0] >> 1))
        draws = torch.randperm(self.total_size, generator=generator)[self.rank :: self.num_replicas].tolist()
        size = len(self.dataset)
        return (SampleIndex(draw % size, self.epoch, draw) for draw in draws)

    def __len__(self) -> int:
        return self.num_samples

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order the next iteration gives."""
        self.epoch = epoch
