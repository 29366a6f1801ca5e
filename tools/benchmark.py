"""Measure how fast parts of PRISM-SR are on this machine: `python tools/benchmark.py NAME`, see --help for the names.

Every measurement runs in a process of its own, so that peak memory is its own too. Times are the best of several runs.
"""

import argparse
import contextlib
import importlib.util
import json
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import prismsr  # noqa: F401  (before basicsr)
from prismsr.losses.self_similarity_loss import edge_mask, self_similarity_loss

import numpy as np
import skimage
import torch
from benchmark_amo import NETS, amo, build_amo_step, build_tuning_step
from benchmark_degradation import degradation_step
from benchmark_loader import loader
from benchmark_sfd import build_sfd_step
from benchmark_training import build_step, downsample, gan_step
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

REPOSITORY = Path(__file__).resolve().parents[1]
PHOTOGRAPHS = ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg", "motorcycle_left.png", "retina.jpg")
Entry = TypeVar("Entry", bound=Callable[..., Any])
Workload = Callable[[argparse.Namespace, torch.device], Callable[[], Tensor]]

BENCHMARKS: dict[str, Callable[[argparse.Namespace], None]] = {}
"""What the command line offers: name -> function that measures and prints. The docstring is the help text."""

WORKLOADS: dict[str, Workload] = {}
"""What a measuring process can run: name -> function that prepares, and returns what is to be measured."""


def register(table: dict[str, Entry], name: str) -> Callable[[Entry], Entry]:
    """Decorator: enter a function into BENCHMARKS or WORKLOADS."""

    def enter(function: Entry) -> Entry:
        table[name] = function
        return function

    return enter


@register(BENCHMARKS, "self-similarity")
def self_similarity(args: argparse.Namespace) -> None:
    """Self-similarity loss, value and gradient: beside the unfolded reference, and alone on larger batches."""
    describe_machine()
    print(f"\n{args.batch} photographs of {args.size}x{args.size}, value and gradient\n")
    print("| mask_stride | pixels | time: loss | reference | ratio | extra peak memory: loss | reference | ratio |")
    print("|---" * 8 + "|")
    for mask_stride in (1, 3):
        settings = {"size": args.size, "batch": args.batch, "mask_stride": mask_stride}
        print_beside(mask_stride, measure("ssl", args.repeat, **settings), measure("ssl-reference", 2, **settings))
    print("\nThe loss alone\n\n| batch | size | mask_stride | pixels | time | extra peak memory |\n" + "|---" * 6 + "|")
    for batch, size, mask_stride in ((16, 128, 1), (16, 128, 3), (16, 512, 3)):
        alone = measure("ssl", 2, size=size, batch=batch, mask_stride=mask_stride)
        cells = f"{batch} | {size} | {mask_stride} | {alone['counted']} | {alone['seconds']:.3f} s | {mega(alone)}"
        print(f"| {cells} |", flush=True)
    if not torch.cuda.is_available():
        print("\nIts share of an ESRGAN training step is measured on CUDA only.")
        return
    step = measure("esrgan-step", 5, size=128, batch=16)["seconds"]
    loss = measure("ssl", 5, size=128, batch=16)["seconds"]
    print(f"\nAn ESRGAN step without it and without the VGG loss takes {step:.3f} s; it adds {loss / step:.0%}.")


@register(BENCHMARKS, "downsample")
def _downsample(args: argparse.Namespace) -> None:
    """MATLAB-equal bicubic downsampling, beside basicsr's."""
    describe_machine()
    downsample()


@register(BENCHMARKS, "gan-step")
def _gan_step(args: argparse.Namespace) -> None:
    """An ESRGAN training step of PrismSRModel, beside BasicSR's ESRGANModel."""
    describe_machine()
    gan_step()


@register(BENCHMARKS, "loader")
def _loader(args: argparse.Namespace) -> None:
    """A training's data loader, beside BasicSR's dataset and loader."""
    describe_machine()
    loader(args.repeat)


@register(BENCHMARKS, "degradation")
def degradation(args: argparse.Namespace) -> None:
    """Real-ESRGAN's degradation of a batch on the CPU, beside BasicSR's."""
    describe_machine()
    degradation_step(rounds=args.repeat)


@register(BENCHMARKS, "sfd")
def _sfd(args: argparse.Namespace) -> None:
    """An SFD training step, beside the same with the vanilla U-Net discriminator: time and memory."""
    describe_machine()
    batch = 8 if torch.cuda.is_available() else 1
    settings = {"size": 256, "batch": batch}
    print(f"\nGT {batch} x 256x256, best of {args.repeat} steps, without the VGG loss, which both have\n")
    sfd, vanilla = (measure(workload, args.repeat, **settings) for workload in ("sfd-step", "vanilla-step"))
    print("| step | time | extra peak memory |\n" + "|---" * 3 + "|")
    for name, result in (("SFD: Feat-D and TG-D", sfd), ("vanilla U-Net discriminator", vanilla)):
        print(f"| {name} | {result['seconds']:.2f} s | {mega(result)} |")
    print(f"| ratio | {sfd['seconds'] / vanilla['seconds']:.2f} | {sfd['bytes'] / max(1, vanilla['bytes']):.2f} |")


@register(BENCHMARKS, "amo")
def _amo(args: argparse.Namespace) -> None:
    """What AMO's choice costs in a step, and fine-tuning by adapters beside that of all weights: time and memory."""
    describe_machine()
    amo(args.repeat, measure)


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


def print_beside(mask_stride: int, loss: dict[str, Any], reference: dict[str, Any]) -> None:
    """Print a line of the comparison; say so if the values, which should be equal, are not."""
    times = f"{loss['seconds']:.3f} s | {reference['seconds']:.2f} s | {reference['seconds'] / loss['seconds']:.0f}"
    memory = f"{mega(loss)} | {mega(reference)} | {reference['bytes'] / max(1, loss['bytes']):.0f}"
    print(f"| {mask_stride} | {loss['counted']} | {times} | {memory} |", flush=True)
    difference = abs(loss["value"] - reference["value"]) / abs(reference["value"])
    if difference > 1e-5:
        print(f"The values differ by {difference:.1e}.")


@register(WORKLOADS, "ssl")
def ssl_workload(args: argparse.Namespace, device: torch.device) -> Callable[[], Tensor]:
    """The loss and its gradient."""
    return _ssl(self_similarity_loss, args, device)


@register(WORKLOADS, "ssl-reference")
def reference_workload(args: argparse.Namespace, device: torch.device) -> Callable[[], Tensor]:
    """The reference of the tests and its gradient by autograd."""
    path = REPOSITORY / "tests" / "losses" / "self_similarity_reference.py"
    spec = importlib.util.spec_from_file_location("self_similarity_reference", path)
    assert spec is not None and spec.loader is not None
    reference = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(reference)
    return _ssl(reference.reference_loss, args, device)


def _ssl(loss: Callable[..., Tensor], args: argparse.Namespace, device: torch.device) -> Callable[[], Tensor]:
    gt = photographs(args.size, args.batch).to(device)
    small = F.interpolate(gt, scale_factor=0.25, mode="bicubic", antialias=True)
    sr = F.interpolate(small, size=gt.shape[2:], mode="bicubic").clamp(0, 1)
    mask = edge_mask(gt)
    rows, columns = (torch.arange(args.size, device=device) % args.mask_stride for _ in range(2))
    args.counted = int((mask & (rows[:, None] == columns)).sum())

    def run() -> Tensor:
        image = sr.clone().requires_grad_()
        value = loss(image, gt, mask, mask_stride=args.mask_stride)
        value.backward()
        return value

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


def photographs(size: int, batch: int) -> Tensor:
    """Crops of scikit-image's photographs, from their middle outwards, (batch, 3, size, size) in [0, 1]."""
    crops = []
    for number in range(batch):
        path = Path(skimage.__file__).parent / "data" / PHOTOGRAPHS[number % len(PHOTOGRAPHS)]
        image = np.asarray(Image.open(path).convert("RGB"))
        beside = number // len(PHOTOGRAPHS) * size // 4  # the second crop of a photograph lies beside its first
        room = [max(0, size - side) for side in image.shape[:2]]
        image = np.pad(image, ((0, room[0]), (0, room[1]), (0, 0)), mode="reflect")
        y, x = ((side - size) // 2 for side in image.shape[:2])
        x = (x + beside) % (image.shape[1] - size + 1)
        crops.append(torch.from_numpy(image[y : y + size, x : x + size].copy()))
    return torch.stack(crops).permute(0, 3, 1, 2).float() / 255


def measure(workload: str, repeat: int, **settings: Any) -> dict[str, Any]:
    """Run a workload in a new process.

    Returns:
        seconds (best of `repeat` runs after one for the memory), bytes (peak memory of the first run beyond what was
        held before it), value (what the workload returns), and what the workload counted (pixels, trained parameters).
    """
    command = [sys.executable, __file__, "--workload", workload, "--repeat", str(repeat)]
    for key, value in settings.items():
        command += [f"--{key.replace('_', '-')}", str(value)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"benchmark.py: error: {workload} with {settings} failed:\n{done.stderr}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def run_workload(args: argparse.Namespace) -> None:
    """Measure in this process and print the result as JSON."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    run = WORKLOADS[args.workload](args, device)
    memory = PeakMemory(device)
    value = float(run().detach())
    peak = memory.extra()
    times = []
    for _ in range(args.repeat):
        synchronize(device)
        start = time.perf_counter()
        run()
        synchronize(device)
        times.append(time.perf_counter() - start)
    print(json.dumps({"seconds": min(times), "bytes": peak, "value": value, "counted": getattr(args, "counted", 0)}))


class PeakMemory:
    """Peak memory from now on, beyond what is held now: of the GPU, or resident memory of this process (Linux)."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
            self.before = torch.cuda.memory_allocated()
        else:
            with contextlib.suppress(OSError):  # resets the kernel's high-water mark
                Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
            self.before = self._status("VmRSS")

    def extra(self) -> int:
        """Bytes."""
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated() - self.before
        return self._status("VmHWM") - self.before

    @staticmethod
    def _status(key: str) -> int:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(key)) * 1024


def synchronize(device: torch.device) -> None:
    """Wait for the GPU."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def describe_machine() -> None:
    """Print what the numbers were measured on."""
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else f"CPU, {processor()}"
    print(f"{device}; {torch.get_num_threads()} threads; torch {torch.__version__}; Python {platform.python_version()}")


def processor() -> str:
    """The processor's name."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def mega(result: dict[str, Any]) -> str:
    """Bytes of a result as text."""
    return f"{result['bytes'] / 1e6:.0f} MB"


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    names = "\n".join(f"  {name}: {function.__doc__}" for name, function in BENCHMARKS.items())
    parser = argparse.ArgumentParser(
        prog="benchmark.py",
        description=f"Measure how fast parts of PRISM-SR are on this machine.\n\nnames:\n{names}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", nargs="?", choices=BENCHMARKS, help="what to measure")
    parser.add_argument("--size", type=int, default=128, help="side of the images in pixels (default: 128)")
    parser.add_argument("--batch", type=int, default=4, help="images in a batch (default: 4)")
    parser.add_argument(
        "--repeat", type=int, default=5, help="runs of which the best counts, or of `loader` the median (default: 5)"
    )
    parser.add_argument("--workload", choices=WORKLOADS, help=argparse.SUPPRESS)
    parser.add_argument("--net", choices=NETS, default=NETS[0], help=argparse.SUPPRESS)
    parser.add_argument("--mask-stride", type=int, default=1, help=argparse.SUPPRESS)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run a benchmark, or in a measuring process a workload."""
    parser = build_parser()
    args = parser.parse_args(argv)
    if args.workload:
        run_workload(args)
    elif args.name:
        BENCHMARKS[args.name](args)
    else:
        parser.print_help()
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
