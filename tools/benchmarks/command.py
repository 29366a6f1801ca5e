"""Arguments and run of tools/benchmark.py: the benchmarks, and the workloads that their processes measure."""

import argparse
import json
from collections.abc import Callable
from typing import Any

import prismsr  # noqa: F401  (before basicsr)
from prismsr.tools.benchmarks.best_buddy import build_best_buddy, compare_best_buddy
from prismsr.tools.benchmarks.bsrgan import compare_bsrgan
from prismsr.tools.benchmarks.elan import ELAN_WORKLOADS, build_elan, compare_elan
from prismsr.tools.benchmarks.lgcaa_full import PARTS, compare_lgcaa, make_plan
from prismsr.tools.benchmarks.lgcaa_parts import MODES, SIZES, describe_network, measure_sampling, measure_step
from prismsr.tools.benchmarks.loader import compare_loaders
from prismsr.tools.benchmarks.measure import crop_photographs, describe_machine, measure, time_run
from prismsr.tools.benchmarks.sfd import FILES, build_sfd_step, compare_sfd
from prismsr.tools.benchmarks.ssl import build_ssl, compare_self_similarity
from prismsr.tools.benchmarks.training import build_step, compare_gan_step
from prismsr.utils.errors import OptionError

import torch
from torch import Tensor
from torch.nn import functional as F

BATCH = 4
Arguments = argparse.Namespace


def _prepare_ssl(args: Arguments, device: torch.device) -> Callable[[], Tensor]:
    gt = crop_photographs(args.size, args.batch)
    run, args.counted = build_ssl(gt, args.mask_stride, device, reference=args.workload == "ssl-reference")
    return run


def _prepare_best_buddy(args: Arguments, device: torch.device) -> Callable[[], Tensor]:
    return build_best_buddy(crop_photographs(args.size, args.batch), device, whole=args.workload.endswith("whole"))


def _prepare_esrgan_step(args: Arguments, device: torch.device) -> Callable[[], Tensor]:
    """Prepare a step of ESRGAN with pixel and adversarial loss; without the VGG loss, so a lower bound."""
    gt = crop_photographs(args.size, args.batch)
    batch = {"gt": gt, "lq": F.interpolate(gt, scale_factor=0.25, mode="bicubic", antialias=True)}
    step = build_step("PrismSRModel", batch, full=True)

    def run() -> Tensor:
        step()
        return torch.zeros(())

    return run


def _prepare_sfd_step(args: Arguments, device: torch.device) -> Callable[[], Tensor]:
    return build_sfd_step(args.workload, crop_photographs(args.size, args.batch), device)


def _prepare_elan(args: Arguments, device: torch.device) -> Callable[[], Tensor]:
    return build_elan(args.workload, args.size, args.batch, device)


def _measure_lgcaa_step(args: Arguments, device: torch.device) -> dict[str, Any]:
    gt = crop_photographs(args.size, args.batch)
    return measure_step(describe_network(SIZES[args.sizes], args.mode), gt, args.repeat, device)


def _measure_lgcaa_sampling(args: Arguments, device: torch.device) -> dict[str, Any]:
    repeat = None if args.workload == "lgcaa-full-memory" else args.repeat
    return measure_sampling(describe_network(SIZES[args.sizes], args.mode), args.size, args.steps, repeat, device)


def _compare_lgcaa_full(args: Arguments) -> None:
    cuda = torch.cuda.is_available()
    compare_lgcaa(make_plan(args.repeat, args.batch, args.steps, args.parts, args.sizes, cuda), measure, cuda)


BENCHMARKS: dict[str, tuple[str, Callable[[Arguments], None]]] = {
    "self-similarity": (
        "Self-similarity loss, value and gradient: beside the unfolded reference, and alone on larger batches.",
        lambda args: compare_self_similarity(args.size, args.batch or BATCH, args.repeat),
    ),
    "best-buddy": (
        "The best-buddy loss, beside one that holds whole tables of distances.",
        lambda args: compare_best_buddy(args.repeat),
    ),
    "gan-step": (
        "An ESRGAN training step of PrismSRModel, beside BasicSR's ESRGANModel.",
        lambda args: compare_gan_step(),
    ),
    "loader": (
        "A training's data loader, beside BasicSR's dataset and loader.",
        lambda args: compare_loaders(args.repeat),
    ),
    "bsrgan": (
        "BSRGAN's degradation, beside its steps written plainly.",
        lambda args: compare_bsrgan(args.repeat),
    ),
    "sfd": (
        "An SFD training step, beside one with the vanilla U-Net discriminator.",
        lambda args: compare_sfd(args.repeat),
    ),
    "elan": (
        "ELAN at full size with random weights, its attention fused and plain: a training step and an image.",
        lambda args: compare_elan(args.size, args.batch or BATCH, args.repeat),
    ),
    "lgcaa-full": (
        "LGCAA at full size with random weights: a training step and sampling in parts, without and with its module.",
        _compare_lgcaa_full,
    ),
}
"""Name -> help text, and the function that measures and prints."""

WORKLOADS: dict[str, Callable[[Arguments, torch.device], Callable[[], Tensor] | dict[str, Any]]] = {
    **dict.fromkeys(("ssl", "ssl-reference"), _prepare_ssl),
    **dict.fromkeys(("best-buddy", "best-buddy-whole"), _prepare_best_buddy),
    "esrgan-step": _prepare_esrgan_step,
    **dict.fromkeys(FILES, _prepare_sfd_step),
    **dict.fromkeys(ELAN_WORKLOADS, _prepare_elan),
    "lgcaa-full-step": _measure_lgcaa_step,
    **dict.fromkeys(("lgcaa-full-sampling", "lgcaa-full-memory"), _measure_lgcaa_sampling),
}
"""What a measuring process can run: name -> function that prepares, and returns what is to be measured, or figures."""


def describe() -> str:
    """Return the names with what each measures, for --help."""
    names = "\n".join(f"  {name}: {text}" for name, (text, _) in BENCHMARKS.items())
    return f"Measure how fast parts of PRISM-SR are on this machine.\n\nnames:\n{names}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("name", nargs="?", choices=BENCHMARKS, help="what to measure")
    parser.add_argument("--size", type=int, default=128, help="side of the images in pixels (default: 128)")
    parser.add_argument("--batch", type=int, help=f"images in a batch (default: {BATCH}; of lgcaa-full 16, on a CPU 1)")
    parser.add_argument(
        "--repeat", type=int, default=5, help="runs of which the best counts, or of `loader` the median (default: 5)"
    )
    parser.add_argument("--steps", type=int, help="of lgcaa-full: sampling steps (default: 40, on a CPU 2)")
    parser.add_argument(
        "--parts", nargs="+", choices=PARTS, help="of lgcaa-full: what to measure (default: all, on a CPU not memory)"
    )
    parser.add_argument("--sizes", choices=SIZES, default="full", help="of lgcaa-full: tiny to try it (default: full)")
    parser.add_argument("--workload", choices=WORKLOADS, help=argparse.SUPPRESS)
    parser.add_argument("--mode", choices=MODES, default=MODES[-1], help=argparse.SUPPRESS)
    parser.add_argument("--mask-stride", type=int, default=1, help=argparse.SUPPRESS)


def run(args: Arguments) -> None:
    """Run a benchmark, or in a measuring process a workload."""
    if args.workload:
        run_workload(args)
        return
    if args.name is None:
        raise OptionError(f"name a benchmark: {', '.join(BENCHMARKS)}")
    describe_machine()
    BENCHMARKS[args.name][1](args)


def run_workload(args: Arguments) -> None:
    """Measure in this process and print the result as JSON."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    prepared = WORKLOADS[args.workload](args, device)
    if not isinstance(prepared, dict):
        prepared = {**time_run(prepared, args.repeat, device), "counted": getattr(args, "counted", 0)}
    print(json.dumps(prepared))
