"""Arguments and run of tools/benchmark.py."""

import argparse
import json

from prismsr.utils.errors import OptionError

BENCHMARKS = {
    "self-similarity": "The self-similarity loss with its gradient: beside the unfolded reference, and alone on more.",
    "best-buddy": "The best-buddy loss, beside one that holds whole tables of distances.",
    "gan-step": "An ESRGAN training step of PrismSRModel, beside BasicSR's ESRGANModel.",
    "loader": "A training's data loader, beside BasicSR's dataset and loader.",
    "bsrgan": "BSRGAN's degradation, beside its steps written plainly.",
    "sfd": "An SFD training step, beside one with the vanilla U-Net discriminator.",
    "elan": "ELAN at full size with random weights, its attention fused and plain: a training step and an image.",
    "beside": "Training steps on the CPU, alone and beside busy loops, with the chosen threads and with OpenMP's own.",
    "cuda": "A GPU: losses, training steps of the option files, sampling; tables into a file, as they come.",
}
"""What each measures; `jobs.COMPARISONS` has their functions."""
CUDA_PARTS = ("loss", "equal", "resume", "step", "sampling")


def describe() -> str:
    """Return the names with what each measures, for --help."""
    names = "\n".join(f"  {name}: {text}" for name, text in BENCHMARKS.items())
    return f"Measure how fast parts of PRISM-SR are on this machine.\n\nnames:\n{names}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments; the one without help is for the measuring processes."""
    add = parser.add_argument
    add("name", nargs="?", choices=BENCHMARKS, help="what to measure")
    add("--size", type=int, default=128, help="side of the images in pixels (default: %(default)s)")
    add("--batch", type=int, default=4, help="images in a batch (default: %(default)s)")
    add("--repeat", type=int, default=5, help="runs: the best counts, or in turn the median (default: 5)")
    add("--parts", nargs="+", choices=CUDA_PARTS, help="of cuda: which of its tables (default: all)")
    add("--tiny", action="store_true", help="of cuda: small sizes, to try it")
    add("--device", choices=["cuda", "cpu"], help="of cuda: cpu to try it (default: cuda)")
    add("--minutes", type=float, default=6, help="of cuda: what is not done by then is left (default: 6)")
    add("--out", default="benchmark_cuda.md", help="of cuda: file of the tables (default: %(default)s)")
    add("--job", type=json.loads, help=argparse.SUPPRESS)


def run(args: argparse.Namespace) -> None:
    """Run a benchmark, or in a measuring process a job."""
    from prismsr.tools.benchmarks.jobs import COMPARISONS, run_job
    from prismsr.tools.benchmarks.measure import describe_machine

    if args.job:
        run_job(**args.job)
        return
    if args.name is None:
        raise OptionError(f"name a benchmark: {', '.join(BENCHMARKS)}")
    if args.parts and args.name != "cuda":
        raise OptionError(f"--parts of {args.name}: none; got {', '.join(args.parts)}")
    describe_machine()
    COMPARISONS[args.name](args)
