"""Benchmark `gan-step`: an ESRGAN step of PrismSRModel beside BasicSR's own, in turn, in one process."""

import statistics
import time
from collections.abc import Callable

from prismsr.tools.benchmarks.measure import build_training

import torch


def _time_in_turn(
    first: Callable[[], object],
    second: Callable[[], object],
    rounds: int,
    clock: Callable[[], float] = time.perf_counter,
) -> tuple[list[float], list[float]]:
    """Return seconds of each call of two functions, both in each round and in turn first."""
    times: tuple[list[float], list[float]] = ([], [])
    pair = list(zip((first, second), times, strict=True))
    for number in range(rounds):
        for function, record in pair if number % 2 == 0 else reversed(pair):
            start = clock()
            function()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            record.append(clock() - start)
    return times


def compare_gan_step(rounds: int = 40) -> None:
    """Print seconds of a step of PrismSRModel configured as ESRGAN, beside BasicSR's ESRGANModel.

    On CUDA the paper's size (batch 16, GT 128, RRDB 23); on a CPU a small generator, so that what the step adds around
    the networks weighs more, not less; there processor time is measured, which other programs disturb less.
    """
    cuda = torch.cuda.is_available()
    batch = {"gt": torch.rand(16 if cuda else 2, 3, 128, 128), "lq": torch.rand(16 if cuda else 2, 3, 32, 32)}
    steps = [build_step(name, batch, cuda) for name in ("PrismSRModel", "ESRGANModel")]
    _time_in_turn(steps[0], steps[1], 4)
    ours, theirs = _time_in_turn(steps[0], steps[1], rounds, time.perf_counter if cuda else time.process_time)
    ratios = sorted(one / other for one, other in zip(ours, theirs, strict=True))
    quarter = len(ratios) // 4
    print(f"one ESRGAN step, {'CUDA' if cuda else 'CPU, processor time'}, {rounds} pairs, either first in turn:")
    for name, times in (("PrismSRModel", ours), ("ESRGANModel", theirs)):
        print(f"  {name:<12} median {1e3 * statistics.median(times):.1f} ms, best {1e3 * min(times):.1f} ms")
    print(
        f"  ratio, median of pairs: {statistics.median(ratios):.4f} "
        f"(middle half {ratios[quarter]:.4f} to {ratios[-1 - quarter]:.4f})"
    )


def build_step(model_type: str, batch: dict[str, torch.Tensor], full: bool) -> Callable[[], None]:
    """Return an ESRGAN training step (L1 and relativistic GAN) on a fixed batch, as a function to call again and again.

    Args:
        model_type: PrismSRModel or ESRGANModel.
        batch: gt (B, 3, 128, 128) and lq (B, 3, 32, 32).
        full: the paper's networks on the GPU where there is one, instead of small ones on the CPU.
    """
    size = (
        {"num_feat": 64, "num_block": 23, "num_grow_ch": 32}
        if full
        else {"num_feat": 16, "num_block": 2, "num_grow_ch": 8}
    )
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
    networks = {
        "network_g": {"type": "RRDBNet", "num_in_ch": 3, "num_out_ch": 3, **size},
        "network_d": {"type": "VGGStyleDiscriminator", "num_in_ch": 3, "num_feat": 64 if full else 8},
    }
    device = torch.device("cuda" if full and torch.cuda.is_available() else "cpu")
    model = build_training({"name": "step", "model_type": model_type, "scale": 4, "train": train, **networks}, device)
    model.feed_data(batch)
    return lambda: model.optimize_parameters(1)
