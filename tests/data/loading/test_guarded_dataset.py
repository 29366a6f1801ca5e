import logging
import pickle
import random
import warnings

from prismsr.data.loading.guarded import (
    ATTEMPTS,
    BadSamples,
    GuardedDataset,
    Loaded,
    collate,
    seed_generators,
)
from prismsr.data.loading.sampler import SampleIndex
from prismsr.utils.errors import DataError, TrainingError

import cv2
import numpy as np
import pytest
import torch
from basicsr.data import build_dataset
from torch.utils.data import DataLoader, Dataset
from torch.utils.data._utils.pin_memory import pin_memory

SCALE = 4


class Noise(Dataset):
    """A dataset that draws from all three global generators, as many do; items of `broken` cannot be read."""

    opt = {"name": "noise"}  # noqa: RUF012

    def __init__(self, length=12, broken=()):
        self.length, self.broken = length, broken
        self.paths = [f"{number}.png" for number in range(length)]

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        if index in self.broken:
            raise OSError(f"cannot identify image file {index}.png")
        drawn = [random.random(), np.random.normal(), torch.rand(()).item()]
        return {"lq": torch.tensor(drawn), "path": self.paths[index]}


@pytest.fixture
def pairs(tmp_path, photograph):
    """Options of BasicSR's PairedImageDataset over four pairs of image files."""
    for name, image in (("gt", photograph[:96, :96]), ("lq", photograph[:96:SCALE, :96:SCALE])):
        (tmp_path / name).mkdir()
        for number in range(4):
            cv2.imwrite(str(tmp_path / name / f"{number}.png"), image)
    return {
        "name": "pairs",
        "type": "PairedImageDataset",
        "dataroot_gt": str(tmp_path / "gt"),
        "dataroot_lq": str(tmp_path / "lq"),
        "io_backend": {"type": "disk"},
        "gt_size": 32,
        "use_hflip": True,
        "use_rot": True,
        "scale": SCALE,
        "phase": "train",
    }


def _indices(epoch, count=12):
    return [[SampleIndex(number, epoch, number) for number in range(first, first + 3)] for first in range(0, count, 3)]


def _load(dataset, epoch=0, workers=0):
    return list(DataLoader(dataset, batch_sampler=_indices(epoch), num_workers=workers, collate_fn=collate))


def _drawn(batches):
    return torch.cat([batch.data["lq"] for batch in batches])


def test_global_randomness_depends_on_seed_epoch_and_draw_alone():
    first = _drawn(_load(GuardedDataset(Noise(), 5)))
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    assert torch.equal(first, _drawn(_load(GuardedDataset(Noise(), 5), workers=2)))
    assert torch.equal(first, _drawn(_load(GuardedDataset(Noise(), 5), workers=0)))
    others = [_drawn(_load(GuardedDataset(Noise(), 6))), _drawn(_load(GuardedDataset(Noise(), 5), epoch=1))]
    values = torch.cat([first, *others])
    assert all(len(column.unique()) == len(column) for column in values.T)


def test_the_callers_generators_are_left_alone():
    np.random.normal()  # half of a pair of normal numbers is kept for the next call
    with_samples, without = [], []
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    for record in (without, with_samples):
        random.setstate(states[0]), np.random.set_state(states[1]), torch.set_rng_state(states[2])
        if record is with_samples:
            GuardedDataset(Noise(), 0)[SampleIndex(1, 0, 1)]
            with pytest.raises(KeyError), seed_generators(1, 2):
                np.random.normal()
                raise KeyError
        record += [random.random(), np.random.normal(), torch.rand(()).item()]
    assert with_samples == without


def test_basicsr_datasets_no_longer_depend_on_workers(pairs):
    batches = [[sample for batch in _load_pairs(pairs, workers) for sample in batch.data["gt"]] for workers in (0, 2)]
    assert len(batches[0]) == 12 and all(torch.equal(*both) for both in zip(*batches, strict=True))


def _load_pairs(opt, workers):
    dataset = GuardedDataset(build_dataset(opt), 0)
    batches = [[SampleIndex(index % 4, 0, index) for index in batch] for batch in _indices(0)]
    return DataLoader(dataset, batch_sampler=batches, num_workers=workers, collate_fn=collate)


def test_a_damaged_file_of_a_basicsr_dataset_is_named(pairs, tmp_path):
    (tmp_path / "gt" / "2.png").write_bytes(b"no image")
    dataset = GuardedDataset(build_dataset(pairs), 0)
    sample = dataset[SampleIndex(2, 0, 0)]
    assert sample.data is None and len(sample.bad) == 1
    message = sample.bad[0]
    assert message.startswith("pairs (PairedImageDataset), item 2 (")
    assert str(tmp_path / "gt" / "2.png") in message and str(tmp_path / "lq" / "2.png") in message
    assert "img_util.py:" in message and "\n" not in message
    assert dataset[SampleIndex(1, 0, 0)].bad == []


def test_our_own_error_is_kept_as_it_is(pairs, tmp_path):
    (tmp_path / "gt" / "2.png").write_bytes(b"no image")
    opt = {**pairs, "type": "PairedImageMaskDataset"}
    (message,) = GuardedDataset(build_dataset(opt), 0)[SampleIndex(2, 0, 0)].bad
    assert message.startswith("pairs (PairedImageMaskDataset), item 2: ") and "2.png: cannot be decoded" in message
    assert ".py:" not in message


def test_outside_training_items_are_plain_and_errors_are_raised(pairs, tmp_path):
    dataset = GuardedDataset(build_dataset({**pairs, "phase": "val"}), 0)
    assert dataset[0]["gt"].shape == (3, 96, 96)
    assert dataset.opt["phase"] == "val" and len(dataset.paths) == len(dataset) == 4
    (tmp_path / "gt" / "2.png").unlink()
    with pytest.raises(DataError, match=r"item 2 .*gt.2\.png.*FileNotFoundError"):
        dataset[2]


def test_attributes_survive_pickling():
    dataset = pickle.loads(pickle.dumps(GuardedDataset(Noise(), 3, "skip")))
    assert (dataset.opt["name"], dataset.on_bad, dataset.seed) == ("noise", "skip", 3)
    with pytest.raises(AttributeError, match="Noise"):
        _ = dataset.nothing


@pytest.mark.parametrize("workers", [0, 2])
def test_skip_replaces_a_bad_sample_by_another_of_the_stream(workers):
    broken = {1, 4, 7}
    batches = _load(GuardedDataset(Noise(broken=broken), 0, "skip"), workers=workers)
    paths = [path for batch in batches for path in batch.data["path"]]
    assert len(paths) == 12 and not {f"{number}.png" for number in broken} & set(paths)
    assert [path for number, path in enumerate(paths) if number not in broken] == [
        f"{number}.png" for number in range(12) if number not in broken
    ]
    again = _load(GuardedDataset(Noise(broken=broken), 0, "skip"), workers=2 - workers)
    assert paths == [path for batch in again for path in batch.data["path"]]
    assert torch.equal(_drawn(batches), _drawn(again)) and [b.bad for b in batches] == [b.bad for b in again]
    assert "noise (Noise), item 1 (1.png): OSError: cannot identify" in batches[0].bad[0]


def test_skip_gives_up_where_nothing_can_be_read():
    sample = GuardedDataset(Noise(broken=range(12)), 0, "skip")[SampleIndex(0, 0, 0)]
    assert sample.data is None and len(sample.bad) == ATTEMPTS and len(set(sample.bad)) == 12
    assert collate([Loaded({"lq": torch.ones(1)}, []), sample]).data is None


@pytest.mark.parametrize("workers", [0, 1])
def test_stop_hands_over_the_message(workers):
    batches = _load(GuardedDataset(Noise(broken=[4]), 0), workers=workers)
    assert [batch.data is None for batch in batches] == [False, True, False, False]
    with pytest.raises(DataError, match=r"^noise \(Noise\), item 4 .*\n.*on_bad_sample"):
        BadSamples().take(batches[1].bad)


def test_samples_that_do_not_fit_together_are_a_bad_batch():
    samples = [Loaded({"lq": torch.zeros(size)}, []) for size in (2, 3)]
    batch = collate(samples)
    assert batch.data is None and "do not fit together: stack expects each tensor to be equal size" in batch.bad[0]


def test_a_batch_survives_pinning():
    """pin_memory rebuilds what it is given; without a GPU only what holds no tensor can go through it."""
    batch = Loaded(None, ["a", "b"])
    assert pin_memory(batch) == batch and type(pin_memory(batch)) is Loaded
    if torch.cuda.is_available():
        pinned = pin_memory(Loaded({"lq": torch.ones(2), "path": ["x"]}, ["a"]))
        assert type(pinned) is Loaded and pinned.data["lq"].is_pinned() and pinned.bad == ["a"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # no accelerator: torch says that nothing is pinned
        loader = DataLoader(GuardedDataset(Noise(), 0), batch_sampler=_indices(0), collate_fn=collate, pin_memory=True)
        assert type(next(iter(loader))) is Loaded


def test_each_bad_sample_is_logged_once_and_counted():
    logged = []
    handler = logging.Handler()
    handler.emit = lambda record: logged.append(record.getMessage())
    logging.getLogger("basicsr").addHandler(handler)
    bad = BadSamples("skip", max_bad_samples=2)
    bad.take(["a", "b"])
    bad.take(["b"])
    logging.getLogger("basicsr").removeHandler(handler)
    assert logged == ["Bad sample, replaced by another: a", "Bad sample, replaced by another: b"]
    resumed = BadSamples("skip", max_bad_samples=2)
    resumed.load_state(bad.state())
    resumed.take(["a"])
    with pytest.raises(TrainingError, match=r"max_bad_samples.*\na\nb\nc"):
        resumed.take(["c"])


def test_unwrap():
    assert BadSamples("skip").unwrap(Loaded({"x": 1}, ["a"])) == {"x": 1}
    with pytest.raises(DataError, match="\na"):
        BadSamples("skip").unwrap(Loaded(None, ["a"]))
    with pytest.raises(DataError, match=r"^a\n"):
        BadSamples("stop").unwrap(Loaded(None, ["a"]))
