import pickle
from types import SimpleNamespace

from prismsr.data.sampler import SampleIndex, SeededSampler, sample_rng


class _Dataset(list):
    def __init__(self, length, seed):
        super().__init__(range(length))
        self.opt = {"manual_seed": seed}


def _order(seed=0, epoch=0, replicas=1, rank=0, ratio=1, length=50):
    sampler = SeededSampler(_Dataset(length, seed), replicas, rank, ratio)
    sampler.set_epoch(epoch)
    return list(sampler)


def test_order_depends_on_seed_and_epoch_and_repeats():
    assert _order() == _order()
    assert _order() != _order(seed=1)
    assert _order() != _order(epoch=1)
    assert sorted(_order()) == list(range(50))


def test_ranks_share_the_draws_of_one_order():
    whole = _order()
    assert _order(replicas=2, rank=0) == whole[::2]
    assert _order(replicas=2, rank=1) == whole[1::2]


def test_enlarged_epoch_visits_each_image_with_its_own_draw():
    order = _order(length=5, ratio=4)
    assert sorted(order) == sorted(list(range(5)) * 4)
    assert len({index.draw for index in order}) == 20
    streams = {sample_rng(0, index).random() for index in order if index == 2}
    assert len(streams) == 4


def test_index_survives_the_way_to_a_worker():
    index = pickle.loads(pickle.dumps(SampleIndex(7, epoch=2, draw=57)))
    assert (index, index.epoch, index.draw) == (7, 2, 57)


def test_uneven_split_repeats_as_basicsr_does():
    assert len(_order(length=5, replicas=2)) == len(_order(length=5, replicas=2, rank=1)) == 3


def test_dataset_without_options_counts_as_seed_zero():
    plain = SeededSampler([0, 1, 2], 1, 0)
    assert list(plain) == _order(length=3)
    assert SimpleNamespace(**{"seed": plain.seed}).seed == 0
