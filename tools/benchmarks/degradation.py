"""Benchmark `degradation`: Real-ESRGAN's synthesis on the CPU, ours beside BasicSR's."""

import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import prismsr  # noqa: F401  (before basicsr)
from prismsr.data.degradation.real_esrgan import build_degradation
from prismsr.utils.images import encode_png, read_image
from prismsr.utils.options.files import load_options

import numpy as np
import skimage
import torch
from basicsr.data import build_dataset
from basicsr.models.realesrgan_model import RealESRGANModel
from basicsr.utils import DiffJPEG, USMSharp
from torch import Tensor
from torch.utils.data import DataLoader

SETTINGS = Path(__file__).resolve().parents[2] / "options" / "_base_" / "degradation_realesrgan.yml"


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
    print(f"Degradation of {batch} images of {side}x{side} on the CPU, pool of {queue} pairs of {patch}x{patch}:")
    print(f"{seconds[0]:.3f} s, BasicSR {seconds[1]:.3f} s, ratio {seconds[1] / seconds[0]:.2f}")


def _batch(batch: int, side: int) -> dict[str, Tensor]:
    with tempfile.TemporaryDirectory() as folder:
        image = read_image(Path(skimage.__file__).parent / "data" / "astronaut.png")
        for number in range(batch):
            part = np.ascontiguousarray(image[number : number + side, number : number + side])
            Path(folder, f"{number}.png").write_bytes(encode_png(part))
        options = {**load_options(SETTINGS)["datasets"]["train"], "crop_pad_size": side}
        dataset = build_dataset({**options, "name": "a", "phase": "train", "dataroot_gt": folder})
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
