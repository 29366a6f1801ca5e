"""Benchmarks of two functions that run in turn in one process, so that what else runs disturbs both alike."""

import statistics
import time
from argparse import Namespace
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

from prismsr.data.degradation.bsrgan import degrade_bsrgan
from prismsr.data.degradation.bsrgan_options import BSRGANRanges
from prismsr.tools.benchmarks.measure import (
    build_training,
    cut_crops,
    format_header,
    format_row,
    load_reference,
    synchronize,
)
from prismsr.utils.options.files import load_options
from prismsr.utils.places import OPTIONS

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

Array = NDArray[Any]
Work = Callable[[], int]
"""Does some work and returns how much."""
Case = tuple[tuple[object, ...], Callable[[], Work], Callable[[], Work]]
"""First cells of its row, what builds ours, and the other; what they build is not kept."""
FORMS = {"original": "degradation_bsrgan.yml", "weak": "degradation_bsrgan_hggt.yml"}
WARM_UP = 4
"""Steps before the clock starts."""


def compare_in_turn(
    columns: tuple[str, ...],
    cases: Iterable[Case],
    rounds: int,
    clock: Callable[[], float] = time.perf_counter,
) -> None:
    """Print how much a second ours and the other do, and their ratio: medians of the rounds, either first in turn.

    The columns are those of the cases' first cells, then names of ours and of the other. `clock` gives seconds.
    """
    print(format_header(*columns, "ratio", "its middle half"))
    for title, *builders in cases:
        rates = _measure_rates([build() for build in builders], rounds, clock)
        ratios = sorted(one / other for one, other in zip(*rates, strict=True))
        quarter = len(ratios) // 4
        half = f"{ratios[quarter]:.2f} to {ratios[-1 - quarter]:.2f}"
        medians = [f"{statistics.median(rate):.4g}" for rate in rates]
        print(format_row(*title, *medians, f"{statistics.median(ratios):.2f}", half), flush=True)


def _measure_rates(works: list[Work], rounds: int, clock: Callable[[], float]) -> list[list[float]]:
    rates: list[list[float]] = [[] for _ in works]
    pairs = list(zip(works, rates, strict=True))
    for number in range(rounds):
        for work, record in pairs if number % 2 == 0 else reversed(pairs):
            start = clock()
            record.append(work() / (clock() - start))
    return rates


# ------------------------------------------------------------------------------------------------------ a GAN step


def compare_gan_step(args: Namespace) -> None:
    """Print steps a second of PrismSRModel configured as ESRGAN, beside BasicSR's ESRGANModel.

    On CUDA the paper's size (batch 16, GT 128, RRDB 23); on a CPU a small generator, so that what the step adds around
    the networks weighs more, not less; there processor time is measured, which other programs disturb less.
    """
    cuda = torch.cuda.is_available()
    print(f"\nESRGAN steps a second, {'CUDA' if cuda else 'CPU, processor time'}, {8 * args.repeat} pairs\n")
    names = ("PrismSRModel", "ESRGANModel")
    ours, theirs = (partial(build_step, name, cuda) for name in names)
    clock = time.perf_counter if cuda else time.process_time
    compare_in_turn(("step", *names), [(("ESRGAN",), ours, theirs)], 8 * args.repeat, clock)


def build_step(model_type: str, cuda: bool) -> Work:
    """Return an ESRGAN training step (L1 and relativistic GAN) of PrismSRModel or ESRGANModel on a fixed batch.

    On a GPU (`cuda`) it has the paper's networks, else small ones.
    """
    features, blocks, growth = (64, 23, 32) if cuda else (16, 2, 8)
    adam = {"type": "Adam", "lr": 1e-4, "betas": [0.9, 0.99]}
    train = {
        "ema_decay": 0.999,
        "optim_g": adam,
        "optim_d": dict(adam),  # BasicSR takes the type out of it
        "scheduler": {"type": "MultiStepLR", "milestones": [1000]},
    }
    pixel = {"type": "L1Loss", "loss_weight": 1e-2}
    if model_type == "PrismSRModel":
        gan = {"type": "AdversarialLoss", "relativistic": True, "loss_weight": 5e-3}
        train["losses"] = {"l_g_pix": pixel, "l_g_gan": gan}
    else:
        train |= {"pixel_opt": pixel, "gan_opt": {"type": "GANLoss", "gan_type": "vanilla", "loss_weight": 5e-3}}
    size = {"num_in_ch": 3, "num_out_ch": 3, "num_feat": features, "num_block": blocks, "num_grow_ch": growth}
    networks = {
        "network_g": {"type": "RRDBNet", **size},
        "network_d": {"type": "VGGStyleDiscriminator", "num_in_ch": 3, "num_feat": 64 if cuda else 8},
    }
    opt = {"name": "step", "model_type": model_type, "scale": 4, "train": train, **networks}
    model = build_training(opt, torch.device("cuda" if cuda else "cpu"))
    images = 16 if cuda else 2
    model.feed_data({"gt": torch.rand(images, 3, 128, 128), "lq": torch.rand(images, 3, 32, 32)})

    def step() -> int:
        model.optimize_parameters(1)
        synchronize(model.device)
        return 1

    for _ in range(WARM_UP):
        step()
    return step


# ------------------------------------------------------------------------------------------------------ BSRGAN


def compare_bsrgan(args: Namespace) -> None:
    """Print LQ images a second of BSRGAN's degradation and of the tests' reference, its steps written plainly."""
    cv2.setNumThreads(0)
    images = [image[:256, :256].astype(np.float32) / 255 for image in cut_crops()]
    print(f"\n{len(images)} crops of 256x256, x4, one thread; images a second, {args.repeat} rounds\n")
    compare_in_turn(("form", "ours", "plainly"), _list_bsrgan_cases(images), args.repeat)


def _list_bsrgan_cases(images: list[Array]) -> Iterator[Case]:
    degrade_plainly = load_reference("bsrgan_reference.py").degrade_plainly
    for form, file in FORMS.items():
        ranges = BSRGANRanges.read(load_options(OPTIONS / "_base_" / file)["datasets"]["train"])
        ours = partial(degrade_bsrgan, scale=4, ranges=ranges)
        plainly = partial(degrade_plainly, s=4, form=form, jpeg=_jpeg)
        yield (form,), partial(_degrade_by, ours, images), partial(_degrade_by, plainly, images)


def _degrade_by(degrade: Callable[..., Array], images: list[Array]) -> Work:
    def run() -> int:
        for number, image in enumerate(images):
            degrade(image, rng=np.random.default_rng([0, number]))
        return len(images)

    return run


def _jpeg(image: Array, quality: int) -> Array:
    levels = np.rint(image * 255).clip(0, 255).astype(np.uint8)
    data = cv2.imencode(".jpg", cv2.cvtColor(levels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB).astype(image.dtype) / 255
