"""Benchmark `loader`: samples a second of a training's loader, ours beside BasicSR's, raw images beside PNG."""

import logging
import tempfile
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from prismsr.data.images.raw_rows import encode_raw
from prismsr.data.loading.loaders import create_train_loader
from prismsr.data.loading.sampler import SeededBatchSampler
from prismsr.data.loading.workers import TrainLoader
from prismsr.tools.benchmarks.measure import cut_crops
from prismsr.tools.benchmarks.turns import Case, Work, compare_in_turn
from prismsr.utils.images import encode_png
from prismsr.utils.options.files import load_options
from prismsr.utils.places import OPTIONS
from prismsr.utils.resize import imresize_bicubic

import cv2
import numpy as np
from basicsr.data import build_dataloader, build_dataset
from basicsr.data.data_sampler import EnlargedSampler
from basicsr.utils.lmdb_util import LmdbMaker
from numpy.typing import NDArray

SCALE = 4
LEVEL = 1  # of PNG compression, as in the LMDBs of prepare.py and of BasicSR's script
RATIO = 10  # dataset_enlarge_ratio: 20 batches of 16 an epoch
EPOCHS = 2  # in each round, so that BasicSR's start of new processes at an epoch's end counts
KERNELS = "degradation_realesrgan.yml"
DATASETS = {
    "LQ/GT pairs": ("PairedImageMaskDataset", "PairedImageDataset"),
    "GT and kernels": ("RealESRGANMaskDataset", "RealESRGANDataset"),
}
"""Title -> (our class, BasicSR's class)."""

Encoder = Callable[[NDArray[Any]], bytes]
Iterate = Callable[[int], Iterator[Any]]  # (epochs) -> batches


def encode_adaptive(image: NDArray[Any]) -> bytes:
    """Return a PNG with OpenCV 5's choice of filters, mostly Paeth."""
    return bytes(cv2.imencode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, LEVEL])[1])


ENCODERS: dict[str, Encoder] = {"Sub": partial(encode_png, compression=LEVEL), "adaptive": encode_adaptive}
"""PNG filter -> encoder. Sub is what our prepare.py writes, and BasicSR's script with OpenCV 4."""


def compare_loaders(args: Namespace) -> None:
    """Print samples a second: ours beside BasicSR's by PNG filter, then ours from raw images beside PNG."""
    logging.getLogger("basicsr").setLevel(logging.WARNING)
    print("\nSamples a second from LMDBs of 512x512 images, GT crops of 128 (of 400 with kernels), batches of 16;")
    print(f"{args.repeat} rounds of {EPOCHS} epochs in turn\n")
    columns = ("dataset", "PNG filter", "processes")
    compare_in_turn((*columns, "ours", "BasicSR"), _list_loaders(), args.repeat)
    print()
    compare_in_turn((*columns[::2], "raw", "PNG"), _list_stores(), args.repeat)


def _list_loaders() -> Iterator[Case]:
    for png_filter, encode in ENCODERS.items():
        with make_lmdbs(encode, encode) as (ours_in, theirs_in):  # a process cannot open an LMDB twice
            for title, (our_class, their_class) in DATASETS.items():
                for workers in (0, 2):
                    ours = partial(build_ours, ours_in, our_class, workers)
                    yield (title, png_filter, workers), ours, partial(build_theirs, theirs_in, their_class, workers)


def _list_stores() -> Iterator[Case]:
    with make_lmdbs(encode_raw, ENCODERS["Sub"]) as (raw, png):
        for title, (our_class, _) in DATASETS.items():
            for workers in (0, 2):
                ours, other = (partial(build_ours, root, our_class, workers) for root in (raw, png))
                yield (title, workers), ours, other


def make_section(root: Path, name: str, workers: int) -> dict[str, Any]:
    """Return the section of a dataset of LQ/GT pairs, or of GT images and blur kernels with Real-ESRGAN's values."""
    kernels = name.startswith("RealESRGAN")
    return {
        **(load_options(OPTIONS / "_base_" / KERNELS)["datasets"]["train"] if kernels else {}),
        **{"name": name, "type": name, "phase": "train", "scale": SCALE, "manual_seed": 0},
        **{"dataroot_gt": str(root / "gt.lmdb"), "dataroot_lq": str(root / "lq.lmdb"), "io_backend": {"type": "lmdb"}},
        **{"gt_size": 128, "use_hflip": True, "use_rot": not kernels, "dataset_enlarge_ratio": RATIO},
        **{"batch_size_per_gpu": 16, "num_worker_per_gpu": workers},
    }


def _count_samples(iterate: Iterate) -> Work:
    next(iter(iterate(1)))  # opens files, fills caches
    return lambda: sum(len(batch["gt"]) for batch in iterate(EPOCHS))


def build_ours(root: Path, name: str, workers: int) -> Work:
    """Return a function that loads the samples of some epochs by our loader, and counts them."""
    options = {"num_gpu": 1, "dist": False, "world_size": 1, "rank": 0, "manual_seed": 0}
    endless = create_train_loader(make_section(root, name, workers), options)
    sampler = endless.batch_sampler
    assert isinstance(sampler, SeededBatchSampler)

    def iterate(epochs: int) -> Iterator[Any]:
        # the same with an end, so that the processes load no batch that is not counted
        batches = TrainLoader(
            endless.dataset,
            batch_sampler=list(islice(sampler, epochs * len(sampler))),
            num_workers=endless.num_workers,
            prefetch_factor=endless.prefetch_factor,
            collate_fn=endless.collate_fn,
            worker_init_fn=endless.worker_init_fn,
        )
        for batch in batches:
            assert not batch.bad
            yield batch.data

    return _count_samples(iterate)


def build_theirs(root: Path, name: str, workers: int) -> Work:
    """Return the same by BasicSR's loader."""
    section = make_section(root, name, workers)
    dataset = build_dataset(section)
    sampler = EnlargedSampler(dataset, 1, 0, RATIO)
    train_loader = build_dataloader(dataset, section, num_gpu=1, sampler=sampler, seed=0)

    def iterate(epochs: int) -> Iterator[Any]:
        for epoch in range(epochs):
            sampler.set_epoch(epoch)
            yield from train_loader

    return _count_samples(iterate)


@contextmanager
def make_lmdbs(*encoders: Encoder) -> Iterator[list[Path]]:
    """Yield a temporary folder for each encoder, with gt.lmdb and lq.lmdb of crops of scikit-image's photographs."""
    with tempfile.TemporaryDirectory() as folder:
        roots = [Path(folder, str(number)) for number in range(len(encoders))]
        for root, encode in zip(roots, encoders, strict=True):
            root.mkdir()
            makers = [LmdbMaker(str(root / f"{n}.lmdb"), map_size=1 << 30, compress_level=LEVEL) for n in ("gt", "lq")]
            for number, gt in enumerate(cut_crops()):  # tools/prepare.py would encode them by its own choice of filters
                lq = imresize_bicubic(gt.astype(np.float32) / 255, SCALE)
                images = (gt, np.round(lq.clip(0, 1) * 255).astype(np.uint8))
                for maker, image in zip(makers, images, strict=True):
                    maker.put(encode(image), f"{number:03d}", image.shape)
            for maker in makers:
                maker.close()
        yield roots
