import pickle
from itertools import islice

from prismsr.data.loading.sampler import SampleIndex, SeededBatchSampler, sample_rng

import pytest


def _sampler(seed=0, replicas=1, rank=0, ratio=1, length=50, batch=5):
    return SeededBatchSampler(range(length), batch, replicas, rank, ratio, seed)


def _epoch(epoch=0, start=0, **options):
    sampler = _sampler(**options)
    sampler.pass_over(epoch, start)
    sampler.set_epoch(epoch)
    return list(islice(sampler, sampler.batches_left()))


def _flat(batches):
    return [(int(index), index.epoch, index.draw) for batch in batches for index in batch]


def test_order_depends_on_seed_and_epoch_and_repeats():
    assert _flat(_epoch()) == _flat(_epoch())
    order = [index for index, _, _ in _flat(_epoch())]
    assert order != [index for index, _, _ in _flat(_epoch(seed=1))]
    assert order != [index for index, _, _ in _flat(_epoch(epoch=1))]
    assert sorted(order) == list(range(50))


@pytest.mark.parametrize("length", [50, 53, 59])
def test_ranks_take_together_what_one_process_takes(length):
    whole = _epoch(length=length, batch=6)
    parts = [_epoch(length=length, batch=2, replicas=3, rank=rank) for rank in range(3)]
    assert len(whole) == len(parts[0]) == len(parts[1]) == len(parts[2])
    for step, batch in enumerate(whole):
        assert sorted(batch) == sorted(index for part in parts for index in part[step])


def test_epochs_follow_each_other_and_may_begin_anywhere():
    endless = list(islice(_sampler(length=13, batch=4), 7))  # 3 batches an epoch
    assert [batch[0].epoch for batch in endless] == [0, 0, 0, 1, 1, 1, 2]
    late = _sampler(length=13, batch=4)
    late.pass_over(1, 8)
    late.set_epoch(1)
    assert late.batches_left() == 1
    assert _flat(islice(late, 2)) == _flat(endless[5:7])


def test_another_batch_size_goes_on_with_the_samples_not_yet_seen():
    seen = _flat(_epoch(batch=5))[:10]
    rest = _flat(_epoch(batch=8, start=10))
    assert not set(seen) & set(rest)
    assert len(rest) == 40


def test_enlarged_epoch_visits_each_image_with_its_own_draw():
    order = [index for batch in _epoch(length=5, ratio=4) for index in batch]
    assert sorted(order) == sorted(list(range(5)) * 4)
    assert len({index.draw for index in order}) == 20
    streams = {sample_rng(0, index).random() for index in order if index == 2}
    assert len(streams) == 4


def test_index_survives_the_way_to_a_worker():
    index = pickle.loads(pickle.dumps(SampleIndex(7, epoch=2, draw=57)))
    assert (index, index.epoch, index.draw) == (7, 2, 57)


def test_too_few_samples_give_no_batch_instead_of_looping_forever():
    assert len(_sampler(length=4)) == 0
    assert list(_sampler(length=4)) == []
