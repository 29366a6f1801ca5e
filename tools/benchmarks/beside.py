"""Benchmark `beside`: training steps alone and beside busy loops, with the chosen threads and with OpenMP's own."""

import os
import subprocess
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from prismsr.tools.benchmarks.measure import crop_photographs, format_header, format_row, measure, shrink
from prismsr.utils.processes import count_cores

import torch
from basicsr.archs import build_network
from torch.nn import functional as F

STEPS = 15
LOOPS = (0, 1, 3)
NETWORKS = {
    "convolutions": {"type": "SRVGGNetCompact", "num_feat": 48, "num_conv": 8, "upscale": 4},
    "small-operations": {
        **{"type": "SwinIR", "upscale": 4, "img_size": 32, "window_size": 8, "depths": [2, 2], "embed_dim": 24},
        **{"num_heads": [2, 2], "upsampler": "pixelshuffledirect"},
    },
}
UNSET = ("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
SETTINGS: dict[str, Mapping[str, str]] = {
    "OpenMP's own": {"OMP_NUM_THREADS": str(count_cores()), "GOMP_SPINCOUNT": "300000"},
    "chosen": {},
    "one thread": {"OMP_NUM_THREADS": "1"},
}


def compare_beside(args: Namespace) -> None:
    """Print the time of a step in each setting, and the part of its fair share that the chosen one gets.

    The fair share is the time of one thread alone, with as much of the cores as one of all processes gets, at most one.
    """
    print(f"\n{count_cores()} cores; seconds a step, and the part of its fair share\n")
    print(format_header("network", "busy loops", *SETTINGS))
    for network in NETWORKS:
        alone = _time_step(network, "one thread", args.repeat)
        for loops in LOOPS:
            with _run_loops(loops):
                times = [_time_step(network, setting, args.repeat) for setting in SETTINGS]
            fair = alone / min(1, count_cores() / (loops + 1))
            cells = [f"{seconds:.3f} ({fair / seconds:.2f})" for seconds in times]
            print(format_row(network, loops, *cells), flush=True)


def build_steps(device: torch.device, network: str) -> Callable[[], None]:
    """Return a function that trains one of NETWORKS for `STEPS` steps."""
    torch.manual_seed(0)
    net = build_network(dict(NETWORKS[network])).to(device)
    optimizer = torch.optim.Adam(net.parameters())
    gt = crop_photographs(128, 8).to(device)
    lq = shrink(gt)

    def run() -> None:
        for _ in range(STEPS):
            optimizer.zero_grad()
            F.l1_loss(net(lq), gt).backward()
            optimizer.step()

    return run


def _time_step(network: str, setting: str, repeat: int) -> float:
    kept = {name: value for name, value in os.environ.items() if name not in UNSET}
    result = measure("beside", repeat, {**kept, **SETTINGS[setting]}, network=network, device="cpu")
    return float(result["seconds"]) / STEPS


@contextmanager
def _run_loops(number: int) -> Iterator[None]:
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(number)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()
