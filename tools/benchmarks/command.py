"""Arguments and run of tools/benchmark.py: the benchmarks and the workloads that they measure."""

import argparse
import json
from collections.abc import Callable
from typing import Any, TypeVar

import prismsr  # noqa: F401  (before basicsr)
from prismsr.tools.benchmarks.amo import NETS, amo, build_amo_step, build_tuning_step
from prismsr.tools.benchmarks.degradation import degradation_step
from prismsr.tools.benchmarks.evaluate import evaluate
from prismsr.tools.benchmarks.lgcaa import build_lgcaa, build_sampling, lgcaa
from prismsr.tools.benchmarks.lgcaa_full import PARTS, lgcaa_full, planned
from prismsr.tools.benchmarks.lgcaa_parts import MODES, SIZES, measure_sampling, measure_step, network
from prismsr.tools.benchmarks.loader import loader
from prismsr.tools.benchmarks.measure import describe_machine, measure, photographs, timed
from prismsr.tools.benchmarks.sfd import build_sfd_step, sfd
from prismsr.tools.benchmarks.ssl import build_ssl, self_similarity
from prismsr.tools.benchmarks.training import build_step, downsample, gan_step
from prismsr.utils.errors import OptionError

import torch
from torch import Tensor
from torch.nn import functional as F

BATCH = 4
Entry = TypeVar("Entry", bound=Callable[..., Any])
Workload = Callable[[argparse.Namespace, torch.device], Callable[[], Tensor] | dict[str, Any]]

BENCHMARKS: dict[str, Callable[[argparse.Namespace], None]] = {}
"""What the command line offers: name -> function that measures and prints. The docstring is the help text."""

WORKLOADS: dict[str, Workload] = {}
"""What a measuring process can run: name -> function that prepares, and returns what is to be measured, or figures."""


def register(table: dict[str, Entry], name: str) -> Callable[[Entry], Entry]:
    """Decorator: enter a function into BENCHMARKS or WORKLOADS."""

    def enter(function: Entry) -> Entry:
        table[name] = function
        return function

    return enter


@register(BENCHMARKS, "self-similarity")
def _self_similarity(args: argparse.Namespace) -> None:
    """Self-similarity loss, value and gradient: beside the unfolded reference, and alone on larger batches."""
    self_similarity(args.size, args.batch or BATCH, args.repeat)


@register(BENCHMARKS, "downsample")
def _downsample(args: argparse.Namespace) -> None:
    """MATLAB-equal bicubic downsampling, beside basicsr's."""
    downsample()


@register(BENCHMARKS, "gan-step")
def _gan_step(args: argparse.Namespace) -> None:
    """An ESRGAN training step of PrismSRModel, beside BasicSR's ESRGANModel."""
    gan_step()


@register(BENCHMARKS, "loader")
def _loader(args: argparse.Namespace) -> None:
    """A training's data loader, beside BasicSR's dataset and loader."""
    loader(args.repeat)


@register(BENCHMARKS, "degradation")
def _degradation(args: argparse.Namespace) -> None:
    """Real-ESRGAN's degradation of a batch on the CPU, beside BasicSR's."""
    degradation_step(rounds=args.repeat)


@register(BENCHMARKS, "amo")
def _amo(args: argparse.Namespace) -> None:
    """What AMO's choice costs in a step, and fine-tuning by adapters beside that of all weights: time and memory."""
    amo(args.repeat, measure)


@register(BENCHMARKS, "sfd")
def _sfd(args: argparse.Namespace) -> None:
    """An SFD training step, beside the same with the vanilla U-Net discriminator: time and memory."""
    sfd(args.repeat, measure)


@register(BENCHMARKS, "evaluate")
def _evaluate(args: argparse.Namespace) -> None:
    """PSNR and SSIM of a folder, beside a loop that calls BasicSR's functions."""
    evaluate(args.repeat)


@register(BENCHMARKS, "lgcaa")
def _lgcaa(args: argparse.Namespace) -> None:
    """LGCAA's attention module beside explicit matrices, time and memory; and the memory of sampling in tiles."""
    lgcaa(args.repeat, measure)


@register(BENCHMARKS, "lgcaa-full")
def _lgcaa_full(args: argparse.Namespace) -> None:
    """LGCAA at full size with random weights: a training step and sampling in parts, without and with its module."""
    cuda = torch.cuda.is_available()
    lgcaa_full(planned(args.repeat, args.batch, args.steps, args.parts, args.sizes, cuda), measure, cuda)


@register(WORKLOADS, "ssl")
@register(WORKLOADS, "ssl-reference")
def ssl(args: argparse.Namespace, device: torch.device) -> Callable[[], Tensor]:
    """The self-similarity loss and its gradient, ours or the reference's."""
    gt = photographs(args.size, args.batch)
    run, args.counted = build_ssl(gt, args.mask_stride, device, reference=args.workload == "ssl-reference")
    return run


@register(WORKLOADS, "esrgan-step")
def esrgan_step(args: argparse.Namespace, device: torch.device) -> Callable[[], Tensor]:
    """A training step of ESRGAN with pixel and adversarial loss; without the VGG loss, so a lower bound."""
    gt = photographs(args.size, args.batch)
    batch = {"gt": gt, "lq": F.interpolate(gt, scale_factor=0.25, mode="bicubic", antialias=True)}
    step = build_step("PrismSRModel", batch, full=True)

    def run() -> Tensor:
        step()
        return torch.zeros(())

    return run


@register(WORKLOADS, "amo-step")
@register(WORKLOADS, "amo-score")
def amo_step(args: argparse.Namespace, device: torch.device) -> Callable[[], Tensor]:
    """A training step with AMO's choice, or the choice alone."""
    gt = photographs(args.size, args.batch)
    return build_amo_step(args.net, gt, device, score_only=args.workload == "amo-score")


@register(WORKLOADS, "lora-step")
@register(WORKLOADS, "full-step")
def tuning_step(args: argparse.Namespace, device: torch.device) -> Callable[[], Tensor]:
    """A fine-tuning step, through adapters or in all weights."""
    step, args.counted = build_tuning_step(
        args.net, photographs(args.size, args.batch), device, lora=args.workload == "lora-step"
    )
    return step


@register(WORKLOADS, "sfd-step")
@register(WORKLOADS, "vanilla-step")
def sfd_step(args: argparse.Namespace, device: torch.device) -> Callable[[], Tensor]:
    """A training step of options/sfd."""
    return build_sfd_step(args.workload, photographs(args.size, args.batch), device)


@register(WORKLOADS, "lgcaa")
@register(WORKLOADS, "lgcaa-explicit")
def lgcaa_module(args: argparse.Namespace, device: torch.device) -> Callable[[], Tensor]:
    """One attention module of LGCAA and its gradient; the side is that of the latents."""
    return build_lgcaa(args.size, args.batch, device, explicit=args.workload == "lgcaa-explicit")


@register(WORKLOADS, "lgcaa-sampling")
def lgcaa_sampling(args: argparse.Namespace, device: torch.device) -> Callable[[], Tensor]:
    """Sampling of one image; the side is that of the result."""
    return build_sampling(args.size, device)


@register(WORKLOADS, "lgcaa-full-step")
def lgcaa_step(args: argparse.Namespace, device: torch.device) -> dict[str, Any]:
    """A training step of LGCAA on crops of photographs."""
    gt = photographs(args.size, args.batch)
    return measure_step(network(SIZES[args.sizes], args.mode), gt, args.repeat, device)


@register(WORKLOADS, "lgcaa-full-sampling")
@register(WORKLOADS, "lgcaa-full-memory")
def lgcaa_full_sampling(args: argparse.Namespace, device: torch.device) -> dict[str, Any]:
    """Sampling of one image; for the memory alone, in one run."""
    repeat = None if args.workload == "lgcaa-full-memory" else args.repeat
    return measure_sampling(network(SIZES[args.sizes], args.mode), args.size, args.steps, repeat, device)


def run_workload(args: argparse.Namespace) -> None:
    """Measure in this process and print the result as JSON."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    prepared = WORKLOADS[args.workload](args, device)
    if not isinstance(prepared, dict):
        prepared = {**timed(prepared, args.repeat, device), "counted": getattr(args, "counted", 0)}
    print(json.dumps(prepared))


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
    parser.add_argument("--net", choices=NETS, default=NETS[0], help=argparse.SUPPRESS)
    parser.add_argument("--mode", choices=MODES, default=MODES[-1], help=argparse.SUPPRESS)
    parser.add_argument("--mask-stride", type=int, default=1, help=argparse.SUPPRESS)


def run(args: argparse.Namespace) -> None:
    """Run a benchmark, or in a measuring process a workload."""
    if args.workload:
        run_workload(args)
        return
    if args.name is None:
        raise OptionError(f"name a benchmark: {', '.join(BENCHMARKS)}")
    describe_machine()
    BENCHMARKS[args.name](args)


def describe() -> str:
    """Return the names with what each measures, for --help."""
    names = "\n".join(f"  {name}: {function.__doc__}" for name, function in BENCHMARKS.items())
    return f"Measure how fast parts of PRISM-SR are on this machine.\n\nnames:\n{names}"
