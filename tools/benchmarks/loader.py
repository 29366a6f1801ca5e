"""Benchmark `loader`: samples a second of a training's loader, ours beside BasicSR's, raw images beside PNG."""

import logging
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from prismsr.data.images.raw_rows import encode_raw
from prismsr.data.loading.loaders import create_train_loader
from prismsr.data.loading.sampler import SeededBatchSampler
from prismsr.data.loading.workers import TrainLoader
from prismsr.tools.benchmarks.measure import PHOTOGRAPHS
from prismsr.utils.images import encode_png, read_image
from prismsr.utils.options.files import load_options
from prismsr.utils.places import OPTIONS
from prismsr.utils.resize import imresize_bicubic

import cv2
import numpy as np
import skimage
from basicsr.data import build_dataloader, build_dataset
from basicsr.data.data_sampler import EnlargedSampler
from basicsr.utils.lmdb_util import LmdbMaker
from numpy.typing import NDArray

IMAGES = 32
SIDE = 512
SCALE = 4
LEVEL = 1  # of PNG compression, as in the LMDBs of prepare.py and of BasicSR's script
RATIO = 10  # dataset_enlarge_ratio: 20 batches of 16 an epoch
EPOCHS = 2  # in each round, so that BasicSR's start of new processes at an epoch's end counts

Encoder = Callable[[NDArray[Any]], bytes]
Iterate = Callable[[int], Iterator[Any]]  # (epochs) -> batches


def encode_adaptive(image: NDArray[Any]) -> bytes:
    """Return a PNG with OpenCV 5's choice of filters, mostly Paeth."""
    return bytes(cv2.imencode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, LEVEL])[1])


ENCODERS: dict[str, Encoder] = {"Sub": partial(encode_png, compression=LEVEL), "adaptive": encode_adaptive}
"""PNG filter -> encoder. Sub is what our prepare.py writes, and BasicSR's script with OpenCV 4."""


def make_paired_section(root: Path, name: str) -> dict[str, Any]:
    """Return the section of a dataset of LQ/GT pairs."""
    return {
        "name": name,
        "type": name,
        "dataroot_gt": str(root / "gt.lmdb"),
        "dataroot_lq": str(root / "lq.lmdb"),
        "io_backend": {"type": "lmdb"},
        "gt_size": 128,
        "use_hflip": True,
        "use_rot": True,
    }


def make_real_esrgan_section(root: Path, name: str) -> dict[str, Any]:
    """Return the section of a dataset of GT images and blur kernels, with Real-ESRGAN's values."""
    section = load_options(OPTIONS / "_base_" / "degradation_realesrgan.yml")["datasets"]["train"]
    return {**section, **make_paired_section(root, name), "use_rot": False}


DATASETS: dict[str, tuple[Callable[[Path, str], dict[str, Any]], str, str]] = {
    "LQ/GT pairs": (make_paired_section, "PairedImageMaskDataset", "PairedImageDataset"),
    "GT and kernels": (make_real_esrgan_section, "RealESRGANMaskDataset", "RealESRGANDataset"),
}
"""Title -> (the section of the options, our class, BasicSR's class)."""


def compare_loaders(rounds: int) -> None:
    """Print samples a second for each dataset, PNG filter and number of loading processes, median of the rounds."""
    logging.getLogger("basicsr").setLevel(logging.WARNING)
    print(f"{IMAGES} sub-images of {SIDE}x{SIDE} as LMDB, GT crops of 128 (of 400 with kernels), batches of 16;")
    print(f"median of {rounds} rounds of {EPOCHS} epochs of {IMAGES * RATIO} samples, in turn\n")
    print("| dataset | PNG filter | processes | ours, samples/s | BasicSR, samples/s | ratio |\n" + "|---" * 6 + "|")
    for png_filter, encode in ENCODERS.items():
        with tempfile.TemporaryDirectory() as folder:
            ours_in, theirs_in = Path(folder, "ours"), Path(folder, "theirs")
            make_lmdbs(ours_in, encode)
            shutil.copytree(ours_in, theirs_in)  # a process cannot open an LMDB twice
            for title, (options, our_class, their_class) in DATASETS.items():
                for workers in (0, 2):
                    our_section = _complete_section(options(ours_in, our_class), workers)
                    their_section = _complete_section(options(theirs_in, their_class), workers)
                    ours, theirs = measure_rates([_build_ours(our_section), _build_theirs(their_section)], rounds)
                    ratio = statistics.median(one / other for one, other in zip(ours, theirs, strict=True))
                    medians = f"{statistics.median(ours):.0f} | {statistics.median(theirs):.0f}"
                    print(f"| {title} | {png_filter} | {workers} | {medians} | {ratio:.2f} |", flush=True)
    compare_stores(rounds)


def compare_stores(rounds: int) -> None:
    """Print samples a second of our loader from uncompressed images and from PNG (Sub), in turn."""
    print("\n| dataset | processes | raw, samples/s | PNG, samples/s | ratio |\n" + "|---" * 5 + "|")
    with tempfile.TemporaryDirectory() as folder:
        raw, png = Path(folder, "raw"), Path(folder, "png")
        make_lmdbs(raw, encode_raw)
        make_lmdbs(png, ENCODERS["Sub"])
        for title, (options, our_class, _) in DATASETS.items():
            for workers in (0, 2):
                loaders = [_build_ours(_complete_section(options(root, our_class), workers)) for root in (raw, png)]
                rates = measure_rates(loaders, rounds)
                ratio = statistics.median(one / other for one, other in zip(*rates, strict=True))
                medians = " | ".join(f"{statistics.median(rate):.0f}" for rate in rates)
                print(f"| {title} | {workers} | {medians} | {ratio:.2f} |", flush=True)


def _complete_section(options: dict[str, Any], workers: int) -> dict[str, Any]:
    added = {"phase": "train", "scale": SCALE, "manual_seed": 0, "dataset_enlarge_ratio": RATIO}
    return {**options, **added, "batch_size_per_gpu": 16, "num_worker_per_gpu": workers}


def measure_rates(iterators: list[Iterate], rounds: int) -> list[list[float]]:
    """Return samples a second of each iterator in each round, the iterators in turn."""
    results: list[list[float]] = [[] for _ in iterators]
    for iterate in iterators:
        next(iter(iterate(1)))  # opens files, fills caches
    for _ in range(rounds):
        for iterate, record in zip(iterators, results, strict=True):
            start = time.perf_counter()
            samples = sum(len(batch["gt"]) for batch in iterate(EPOCHS))
            record.append(samples / (time.perf_counter() - start))
    return results


def _build_ours(section: dict[str, Any]) -> Iterate:
    options = {"num_gpu": 1, "dist": False, "world_size": 1, "rank": 0, "manual_seed": 0}
    endless = create_train_loader(section, options)
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

    return iterate


def _build_theirs(section: dict[str, Any]) -> Iterate:
    dataset = build_dataset(section)
    sampler = EnlargedSampler(dataset, 1, 0, RATIO)
    train_loader = build_dataloader(dataset, section, num_gpu=1, sampler=sampler, seed=0)

    def iterate(epochs: int) -> Iterator[Any]:
        for epoch in range(epochs):
            sampler.set_epoch(epoch)
            yield from train_loader

    return iterate


def make_lmdbs(root: Path, encode: Encoder) -> None:
    """Write gt.lmdb and lq.lmdb of IMAGES different crops of scikit-image's photographs."""
    root.mkdir()
    pairs = []
    for gt in cut_crops():
        lq = imresize_bicubic(gt.astype(np.float32) / 255, SCALE)
        pairs.append((gt, np.round(lq.clip(0, 1) * 255).astype(np.uint8)))
    for name, images in zip(("gt", "lq"), zip(*pairs, strict=True), strict=True):
        maker = LmdbMaker(str(root / f"{name}.lmdb"), map_size=1 << 30, compress_level=LEVEL)
        for number, image in enumerate(images):  # tools/prepare.py would encode them by its own choice of filters
            maker.put(encode(image), f"{number:03d}", image.shape)
        maker.close()


def cut_crops() -> Iterator[NDArray[np.uint8]]:
    """Yield random crops of the photographs, which are enlarged where they are smaller, (SIDE, SIDE, 3) BGR."""
    rng = np.random.default_rng(0)
    folder = Path(skimage.__file__).parent / "data"
    images = [read_image(folder / name) for name in PHOTOGRAPHS]
    for number in range(IMAGES):
        image = images[number % len(images)]
        if (shortest := min(image.shape[:2])) < SIDE:
            size = [round(side * SIDE / shortest) for side in image.shape[1::-1]]
            image = cv2.resize(image, size, interpolation=cv2.INTER_CUBIC)
        top, left = (int(rng.integers(side - SIDE + 1)) for side in image.shape[:2])
        yield image[top : top + SIDE, left : left + SIDE, :3]
