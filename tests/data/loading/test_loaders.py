import logging
import multiprocessing
import os
import random
import signal
import subprocess
import time
from itertools import islice

from prismsr.data.loading.loaders import create_loaders
from prismsr.utils.errors import OptionError
from prismsr.utils.images import encode_png

import cv2
import numpy as np
import pytest
import torch

LOGGER = logging.getLogger("loaders")


@pytest.fixture
def opt(tmp_path, photograph):
    """A training on five pairs, with two validation sets."""
    for name, image in (("gt", photograph[:128, :128]), ("lq", photograph[:128:4, :128:4])):
        (tmp_path / name).mkdir()
        for number in range(5):
            (tmp_path / name / f"{number}.png").write_bytes(encode_png(np.roll(image, number, 2)))
    dataset = {
        "name": "pairs",
        "type": "PairedImageMaskDataset",
        "dataroot_gt": str(tmp_path / "gt"),
        "dataroot_lq": str(tmp_path / "lq"),
        "scale": 4,
        "manual_seed": 2,
    }
    train = {"phase": "train", "gt_size": 32, "use_hflip": True, "use_rot": True, "dataset_enlarge_ratio": 3}
    train |= {"batch_size_per_gpu": 4, "num_worker_per_gpu": 0}
    val = {**dataset, "phase": "val"}
    datasets = {"train": dataset | train, "val": val, "val_2": {**val, "name": "again"}}
    run = {"num_gpu": 0, "dist": False, "world_size": 1, "rank": 0, "manual_seed": 2}
    return {**run, "datasets": datasets, "train": {"total_iter": 10}}


def _changed(opt, **train):
    return {**opt, "datasets": {**opt["datasets"], "train": {**opt["datasets"]["train"], **train}}}


def _same(first, second):
    return all(torch.equal(one.data["gt"], other.data["gt"]) for one, other in zip(first, second, strict=True))


def test_loaders_of_an_option_file(opt, caplog):
    with caplog.at_level(logging.INFO, "loaders"):
        train_loader, train_sampler, val_loaders, total_epochs, total_iters = create_loaders(opt, LOGGER)
    assert (len(train_sampler), total_epochs, total_iters) == (3, 4, 10)  # 15 samples: 3 batches of 4 an epoch
    assert [loader.dataset.opt["name"] for loader in val_loaders] == ["pairs", "again"]
    assert [len(list(loader)) for loader in val_loaders] == [5, 5]
    assert next(iter(val_loaders[0]))["gt"].shape == (1, 3, 128, 128)
    assert "Number of train images: 5\n\tDataset enlarge ratio: 3\n" in caplog.text
    assert "Total epochs: 4; iters: 10." in caplog.text
    assert "Number of val images/folders in again: 5" in caplog.text
    batch = next(iter(train_loader))
    assert batch.bad == [] and batch.data["gt"].shape == (4, 3, 32, 32)


def test_batches_go_on_from_anywhere(opt):
    train_loader, train_sampler, *_ = create_loaders(opt, LOGGER)
    batches = list(islice(train_loader, 7))
    train_sampler.pass_over(1, samples=4)
    train_sampler.set_epoch(1)
    assert _same(batches[4:], list(islice(train_loader, 3)))


def test_workers_and_queue_change_nothing(opt):
    plain = list(islice(create_loaders(opt, LOGGER).train_loader, 6))
    changed = _changed(opt, num_worker_per_gpu=2, num_prefetch_queue=3, persistent_workers=True, pin_memory=True)
    loader = create_loaders(changed, LOGGER).train_loader
    assert (loader.num_workers, loader.prefetch_factor, loader.persistent_workers) == (2, 3, True)
    assert _same(plain, list(islice(loader, 6)))
    del loader


def test_one_process_feeds_all_gpus_unless_distributed(opt):
    opt = _changed(opt, batch_size_per_gpu=2)
    assert create_loaders({**opt, "num_gpu": 2}, LOGGER).train_sampler.batch_size == 4
    shared = create_loaders({**opt, "num_gpu": 2, "dist": True, "world_size": 2, "rank": 1}, LOGGER).train_sampler
    assert (shared.batch_size, shared.num_replicas, shared.rank, len(shared)) == (2, 2, 1, 3)


def test_iterators_draw_nothing_from_the_global_generators(opt):
    states = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()
    for workers in (0, 1):
        train_loader, _, val_loaders, *_ = create_loaders(_changed(opt, num_worker_per_gpu=workers), LOGGER)
        next(iter(train_loader))
        next(iter(val_loaders[0]))
    assert random.getstate() == states[0] and np.random.get_state()[1].tolist() == states[1]
    assert torch.equal(torch.get_rng_state(), states[2])


def test_wrong_sections_and_too_small_sets_are_told(opt):
    datasets = opt["datasets"]
    with pytest.raises(OptionError, match=r"datasets\.valid: no such phase; allowed: train, val, val_2"):
        create_loaders({**opt, "datasets": {**datasets, "valid": datasets["val"]}}, LOGGER)
    with pytest.raises(OptionError, match="no section is called train"):
        create_loaders({**opt, "datasets": {"val": datasets["val"]}}, LOGGER)
    message = (
        r"train \(pairs\) has 5 images and dataset_enlarge_ratio 3, which gives 15 samples .* a step takes 16 .*"
        r"batch_size_per_gpu 16 on 1 process .* dataset_enlarge_ratio to 4 or more"
    )
    with pytest.raises(OptionError, match=message):
        create_loaders(_changed(opt, batch_size_per_gpu=16), LOGGER)


def _alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.skipif(not hasattr(signal, "sigwaitinfo"), reason="this system does not tell who sent a signal")
@pytest.mark.parametrize(("method", "count"), [("fork", 2), ("spawn", 1)])
def test_only_the_main_process_ends_a_worker(opt, method, count):
    cv2.GaussianBlur(np.zeros((999, 999, 3), np.float32), (31, 31), 5)  # OpenCV starts its threads
    before = multiprocessing.get_start_method()
    multiprocessing.set_start_method(method, force=True)
    try:
        others = set(multiprocessing.active_children())
        loader = create_loaders(_changed(opt, num_worker_per_gpu=count), LOGGER).train_loader
        batches = iter(loader)
    finally:
        multiprocessing.set_start_method(before, force=True)
    workers = [process.pid for process in set(multiprocessing.active_children()) - others]
    assert len(workers) == count
    for number in ("TERM", "INT") * 3:
        subprocess.run(["kill", f"-{number}", *map(str, workers)], check=True)
    for _ in range(12):  # more than had been loaded ahead
        assert next(batches).data["gt"].shape == (4, 3, 32, 32)
    assert all(map(_alive, workers))
    start = time.monotonic()
    os.kill(workers[0], signal.SIGTERM)  # from this process
    while _alive(workers[0]) and time.monotonic() - start < 5:
        multiprocessing.active_children()  # collects those that have ended
        time.sleep(0.01)
    assert not _alive(workers[0])
    with pytest.raises(RuntimeError, match="exited unexpectedly"):
        list(batches)


@pytest.mark.parametrize("workers", [1, 2])
def test_the_end_leaves_no_process_behind(opt, workers):
    loader = create_loaders(_changed(opt, num_worker_per_gpu=workers), LOGGER).train_loader
    others = set(multiprocessing.active_children())
    batches = iter(loader)
    next(batches)
    children = set(multiprocessing.active_children()) - others
    assert len(children) == workers
    start = time.monotonic()
    del batches
    assert time.monotonic() - start < 2
    assert not any(_alive(child.pid) for child in children)


MAIN = """
import os, signal, sys, time
import prismsr
import torch
from prismsr.data.loading.workers import TrainLoader, start_worker
main = os.getpid()

def start_late(worker_id):
    while os.getppid() == main:
        time.sleep(0.05)
    start_worker(worker_id)

late = sys.argv[1] == "starting"
init = start_late if late else start_worker
loader = TrainLoader(torch.arange(10**6), batch_size=2, num_workers=2, worker_init_fn=init)
batches = iter(loader)
if not late:
    next(batches)
print(*[worker.pid for worker in batches._workers], flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("when", ["starting", "loading"])  # torch's own look-out starts after the main process is gone
def test_workers_end_with_a_killed_main_process(launch_server, tmp_path, when):
    code, output = launch_server.run_code(tmp_path, MAIN, when)
    workers = list(map(int, output.split()))
    assert len(workers) == 2 and code == -signal.SIGKILL
    deadline = time.monotonic() + 60  # beside others they are slow
    while any(map(_alive, workers)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(map(_alive, workers))
