"""Batches for the loop: epochs from one iterator that never waits for workers to start anew."""

from typing import ClassVar

from prismsr.data.loading.feed import Feed
from prismsr.data.loading.guarded import GuardedDataset, Loaded, collate
from prismsr.data.loading.sampler import SeededBatchSampler

import torch
from torch.utils.data import DataLoader


class _Squares(torch.utils.data.Dataset):
    opt: ClassVar = {"phase": "train"}

    def __len__(self):
        return 11

    def __getitem__(self, index):
        return {"square": int(index) ** 2}


class _Counting(DataLoader):
    starts = 0

    def __iter__(self):
        type(self).starts += 1
        return super().__iter__()


def _feed(total=100, starting=lambda: None):
    dataset = GuardedDataset(_Squares(), 0)
    loader = _Counting(dataset, batch_sampler=SeededBatchSampler(dataset, 3), collate_fn=collate)
    steps = []

    def done():
        steps.append(1)
        return len(steps) < total

    _Counting.starts = 0
    return Feed(loader, lambda batch: batch.data, done, starting), steps


def _loop(feed, epochs):
    """BasicSR's loop."""
    seen = []
    for epoch in epochs:
        feed.sampler.set_epoch(epoch)
        feed.reset()
        batch = feed.next()
        while batch is not None:
            seen.append((epoch, *batch["square"].tolist()))
            batch = feed.next()
    return seen


def _order(epoch):
    sampler = SeededBatchSampler(range(11), 3)
    sampler.set_epoch(epoch)
    batches = iter(sampler)
    return [(epoch, *(index**2 for index in next(batches))) for _ in range(3)]


def test_epochs_come_from_one_iterator():
    feed, steps = _feed()
    assert _loop(feed, range(3)) == _order(0) + _order(1) + _order(2)
    assert _Counting.starts == 1
    assert len(steps) == 9


def test_begins_within_an_epoch():
    feed, _ = _feed()
    feed.sampler.pass_over(1, 6)
    assert _loop(feed, [1, 2]) == _order(1)[2:] + _order(2)
    feed.sampler.pass_over(5, 9)  # nothing left of that epoch
    assert _loop(feed, [5, 6]) == _order(6)


def test_counts_what_was_taken():
    feed, _ = _feed()
    feed.sampler.pass_over(0, 3)
    feed.sampler.set_epoch(0)
    feed.reset()
    feed.next()
    assert (feed.epoch, feed.taken) == (0, 6)


def test_nothing_is_loaded_once_the_training_is_done():
    feed, steps = _feed(total=4)
    assert _loop(feed, range(6)) == _order(0) + _order(1)[:1]
    assert len(steps) == 4
    assert (feed.epoch, feed.taken) == (1, 3)


def test_start_is_told_once_and_before_the_first_batch():
    events = []
    feed, _ = _feed(starting=lambda: events.append("start"))
    feed.unwrap = lambda batch: events.append("batch") or batch.data
    _loop(feed, range(2))
    assert events == ["start"] + ["batch"] * 6


def test_a_batch_that_raises_is_not_counted():
    feed, _ = _feed()

    def refuse(batch: Loaded):
        raise ValueError("bad")

    feed.sampler.set_epoch(0)
    feed.reset()
    feed.next()
    feed.unwrap = refuse
    try:
        feed.next()
    except ValueError:
        assert feed.taken == 3
    else:
        raise AssertionError
