"""Benchmark of Real-ESRGAN's synthesis: the dataset with its kernels, and the degradation, beside BasicSR's."""

import random
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import prismsr  # noqa: F401  (before basicsr)
from prismsr.models.degradation import build_degradation
from prismsr.utils.images import encode_png
from prismsr.utils.option_files import load_options

import cv2
import lmdb
import numpy as np
import skimage
import torch
from basicsr.data import build_dataset
from basicsr.models.realesrgan_model import RealESRGANModel
from basicsr.utils import DiffJPEG, USMSharp
from torch import Tensor
from torch.utils.data import DataLoader

PHOTOGRAPHS = ("astronaut.png", "coffee.png", "motorcycle_left.png", "rocket.jpg")
SETTINGS = Path(__file__).resolve().parents[1] / "options" / "_base_" / "degradation_realesrgan.yml"
IMAGES, SIDE, BATCH = 24, 512, 12
LEVEL = 1  # of PNG compression, as in the LMDBs of prepare.py and of BasicSR's script


def adaptive_png(image: np.ndarray) -> bytes:
    """PNG with OpenCV 5's choice of filters, mostly Paeth."""
    return bytes(cv2.imencode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, LEVEL])[1])


ENCODERS: dict[str, Callable[[np.ndarray], bytes]] = {
    "Sub": lambda image: encode_png(image, LEVEL),
    "adaptive": adaptive_png,
}


def degradation_loader(rounds: int = 7) -> None:
    """Print samples a second of the dataset, ours beside BasicSR's, on the same files, in turn, without workers."""
    torch.set_num_threads(1)
    print(f"{IMAGES} sub-images of {SIDE}x{SIDE} as LMDB, cut to 400, with their kernels, in batches of {BATCH};")
    print(f"median of {rounds} rounds, in turn\n")
    print("| PNG filter | ours, samples/s | BasicSR, samples/s | ratio |\n" + "|---" * 4 + "|")
    for png_filter, encode in ENCODERS.items():
        with tempfile.TemporaryDirectory() as folder:
            make_lmdb(Path(folder, "ours.lmdb"), encode)
            shutil.copytree(Path(folder, "ours.lmdb"), Path(folder, "theirs.lmdb"))  # not opened twice in a process
            ours, theirs = rates(Path(folder), rounds)
        print(f"| {png_filter} | {ours:.1f} | {theirs:.1f} | {ours / theirs:.2f} |", flush=True)


def make_lmdb(path: Path, encode: Callable[[np.ndarray], bytes]) -> None:
    """Write parts of photographs as an LMDB that both datasets read."""
    lines = []
    with lmdb.open(str(path), map_size=2**28) as environment, environment.begin(write=True) as transaction:
        for number in range(IMAGES):
            image = cv2.imread(str(Path(skimage.__file__).parent / "data" / PHOTOGRAPHS[number % len(PHOTOGRAPHS)]))
            image = np.roll(cv2.resize(image, (640, 640)), 23 * number, axis=1)
            transaction.put(str(number).encode(), encode(np.ascontiguousarray(image[:SIDE, :SIDE])))
            lines.append(f"{number}.png ({SIDE},{SIDE},3) {LEVEL}\n")
    (path / "meta_info.txt").write_text("".join(lines))


def rates(folder: Path, rounds: int) -> tuple[float, float]:
    """Samples a second of our dataset and of BasicSR's."""
    settings = load_options(SETTINGS)["datasets"]["train"]
    common = {**settings, "name": "a", "phase": "train", "scale": 4, "use_hflip": True, "use_rot": True}
    stock = {**common, "type": "RealESRGANDataset", "io_backend": {"type": "lmdb"}}
    loaders = [
        DataLoader(build_dataset({**options, "dataroot_gt": str(folder / f"{name}.lmdb")}), batch_size=BATCH)
        for name, options in (("ours", common), ("theirs", stock))
    ]
    seconds: list[list[float]] = [[], []]
    for number in range(rounds + 1):  # the first warms up
        for loader, times in zip(loaders, seconds, strict=True):
            start = time.perf_counter()
            for _ in loader:
                pass
            if number:
                times.append(time.perf_counter() - start)
    ours, theirs = (IMAGES / statistics.median(times) for times in seconds)
    return ours, theirs


class ContiguousJPEG(DiffJPEG):
    """BasicSR's filter2D does not take on the CPU what its DiffJPEG gives; a copy helps, as in ours."""

    def forward(self, x: Tensor, quality: Tensor) -> Tensor:
        """DiffJPEG's, with its result in memory as filter2D wants it."""
        return super().forward(x, quality).contiguous()


def degradation_step(batch: int = 2, side: int = 256, rounds: int = 6) -> None:
    """Print the time of a batch's degradation with a full pool, ours beside BasicSR's feed_data, on the CPU."""
    queue, patch = 60 * batch, side // 2
    options = load_options(SETTINGS)["degradation"] | {"gt_size": patch, "queue_size": queue}
    pool = {"lq": torch.zeros(queue, 3, patch // 4, patch // 4), "gt": torch.zeros(queue, 3, patch, patch)}
    ours = build_degradation({"degradation": options, "scale": 4})
    assert ours is not None
    for _ in range(60):
        ours.pool.exchange({name: samples[:batch] for name, samples in pool.items()})
    stock = RealESRGANModel.__new__(RealESRGANModel)  # as much of it as feed_data needs; its __init__ needs CUDA
    stock.opt, stock.is_train, stock.device = {**options, "scale": 4}, True, torch.device("cpu")
    stock.jpeger, stock.usm_sharpener = ContiguousJPEG(differentiable=False), USMSharp()
    stock.queue_size = stock.queue_ptr = queue
    stock.queue_lr, stock.queue_gt = pool["lq"], pool["gt"]
    data = _batch(batch, side)
    seconds = timed([lambda: ours.batch(data), lambda: stock.feed_data(data)], rounds)
    print(f"\nDegradation of {batch} images of {side}x{side} on the CPU, pool of {queue} pairs of {patch}x{patch}:")
    print(f"{seconds[0]:.3f} s, BasicSR {seconds[1]:.3f} s, ratio {seconds[1] / seconds[0]:.2f}")


def _batch(batch: int, side: int) -> dict[str, Tensor]:
    with tempfile.TemporaryDirectory() as folder:
        make_lmdb(Path(folder, "gt.lmdb"), ENCODERS["Sub"])
        options = {**load_options(SETTINGS)["datasets"]["train"], "crop_pad_size": side}
        dataset = build_dataset({**options, "name": "a", "phase": "train", "dataroot_gt": f"{folder}/gt.lmdb"})
        data: dict[str, Tensor] = next(iter(DataLoader(dataset, batch_size=batch)))
    return data


def timed(steps: list[Callable[[], Any]], rounds: int) -> list[float]:
    """Median time of each step, in turn, each round with the same random draws for all."""
    seconds: list[list[float]] = [[] for _ in steps]
    for number in range(rounds):
        for step, times in zip(steps, seconds, strict=True):
            random.seed(number)
            np.random.seed(number)
            torch.manual_seed(number)
            start = time.perf_counter()
            step()
            times.append(time.perf_counter() - start)
    return [statistics.median(times) for times in seconds]


if __name__ == "__main__":
    degradation_loader()
    degradation_step()
