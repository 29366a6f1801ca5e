"""What tools/benchmark.py runs: the benchmarks, and the workloads that their processes measure."""

import argparse
import json
from collections.abc import Callable
from typing import Any

from prismsr.tools.benchmarks.beside import NETWORKS, build_steps, compare_beside
from prismsr.tools.benchmarks.best_buddy import build_best_buddy, compare_best_buddy
from prismsr.tools.benchmarks.bsrgan import compare_bsrgan
from prismsr.tools.benchmarks.command import BATCH
from prismsr.tools.benchmarks.cuda import run_cuda
from prismsr.tools.benchmarks.cuda_parts import WORKLOADS as CUDA_WORKLOADS
from prismsr.tools.benchmarks.cuda_parts import print_rows
from prismsr.tools.benchmarks.elan import ELAN_WORKLOADS, build_elan, compare_elan
from prismsr.tools.benchmarks.lgcaa_full import compare_lgcaa, make_plan
from prismsr.tools.benchmarks.lgcaa_parts import SIZES, describe_network, measure_sampling, measure_step
from prismsr.tools.benchmarks.loader import compare_loaders
from prismsr.tools.benchmarks.measure import crop_photographs, measure, time_run
from prismsr.tools.benchmarks.sfd import FILES, build_sfd_step, compare_sfd
from prismsr.tools.benchmarks.ssl import build_ssl, compare_self_similarity
from prismsr.tools.benchmarks.training import build_step, compare_gan_step

import torch
from torch import Tensor
from torch.nn import functional as F

Arguments = argparse.Namespace
Run = Callable[[], Tensor | None]


def _prepare_ssl(args: Arguments, device: torch.device) -> Run:
    gt = crop_photographs(args.size, args.batch)
    run, args.counted = build_ssl(gt, args.mask_stride, device, reference=args.workload == "ssl-reference")
    return run


def _prepare_best_buddy(args: Arguments, device: torch.device) -> Run:
    return build_best_buddy(crop_photographs(args.size, args.batch), device, whole=args.workload.endswith("whole"))


def _prepare_esrgan_step(args: Arguments, device: torch.device) -> Run:
    """Prepare a step of ESRGAN with pixel and adversarial loss; without the VGG loss, so a lower bound."""
    gt = crop_photographs(args.size, args.batch)
    batch = {"gt": gt, "lq": F.interpolate(gt, scale_factor=0.25, mode="bicubic", antialias=True)}
    return build_step("PrismSRModel", batch, full=True)


def _prepare_sfd_step(args: Arguments, device: torch.device) -> Run:
    return build_sfd_step(args.workload, crop_photographs(args.size, args.batch), device)


def _prepare_elan(args: Arguments, device: torch.device) -> Run:
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


COMPARISONS: dict[str, Callable[[Arguments], None]] = {
    "self-similarity": lambda args: compare_self_similarity(args.size, args.batch or BATCH, args.repeat),
    "best-buddy": lambda args: compare_best_buddy(args.repeat),
    "gan-step": lambda args: compare_gan_step(),
    "loader": lambda args: compare_loaders(args.repeat),
    "bsrgan": lambda args: compare_bsrgan(args.repeat),
    "sfd": lambda args: compare_sfd(args.repeat),
    "elan": lambda args: compare_elan(args.size, args.batch or BATCH, args.repeat),
    "lgcaa-full": _compare_lgcaa_full,
    "beside": lambda args: compare_beside(args.repeat),
    "cuda": run_cuda,
}
"""Name of a benchmark -> the function that measures and prints."""
WORKLOADS: dict[str, Callable[[Arguments, torch.device], Run | dict[str, Any]]] = {
    **dict.fromkeys(("ssl", "ssl-reference"), _prepare_ssl),
    **dict.fromkeys(("best-buddy", "best-buddy-whole"), _prepare_best_buddy),
    **dict.fromkeys(NETWORKS, lambda args, device: build_steps(args.workload, crop_photographs(args.size, args.batch))),
    "esrgan-step": _prepare_esrgan_step,
    **dict.fromkeys(FILES, _prepare_sfd_step),
    **dict.fromkeys(ELAN_WORKLOADS, _prepare_elan),
    "lgcaa-full-step": _measure_lgcaa_step,
    **dict.fromkeys(("lgcaa-full-sampling", "lgcaa-full-memory"), _measure_lgcaa_sampling),
}
"""What a measuring process can run: name -> function that prepares, and returns what is to be measured, or figures."""


def run_workload(args: Arguments) -> None:
    """Measure in this process and print the result as JSON."""
    device = torch.device(args.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    if args.workload in CUDA_WORKLOADS:
        print_rows(CUDA_WORKLOADS[args.workload](args, device))
        return
    prepared = WORKLOADS[args.workload](args, device)
    if not isinstance(prepared, dict):
        prepared = {**time_run(prepared, args.repeat, device), "counted": getattr(args, "counted", 0)}
    print(json.dumps(prepared))
