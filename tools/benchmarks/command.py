"""Arguments and run of tools/benchmark.py."""

import argparse

from prismsr.utils.errors import OptionError

BATCH = 4
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
    "lgcaa-full": "LGCAA at full size with random weights: a step and sampling in parts, without and with its module.",
}
"""What each measures; `workloads.COMPARISONS` has their functions."""

CUDA_PARTS = ("loss", "equal", "resume", "step", "sampling")
LGCAA_PARTS = ("step", "sampling", "memory")


def describe() -> str:
    """Return the names with what each measures, for --help."""
    names = "\n".join(f"  {name}: {text}" for name, text in BENCHMARKS.items())
    return f"Measure how fast parts of PRISM-SR are on this machine.\n\nnames:\n{names}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments; those without help are for the measuring processes."""
    parser.add_argument("name", nargs="?", choices=BENCHMARKS, help="what to measure")
    parser.add_argument("--size", type=int, default=128, help="side of the images in pixels (default: 128)")
    parser.add_argument("--batch", type=int, help=f"images in a batch (default: {BATCH}; of lgcaa-full 16, on a CPU 1)")
    parser.add_argument(
        "--repeat", type=int, default=5, help="runs of which the best counts, or of `loader` the median (default: 5)"
    )
    parser.add_argument("--steps", type=int, help="of lgcaa-full: sampling steps (default: 40, on a CPU 2)")
    parser.add_argument(
        "--parts",
        nargs="+",
        choices=list(dict.fromkeys([*CUDA_PARTS, *LGCAA_PARTS])),
        help=f"of cuda: {', '.join(CUDA_PARTS)}; of lgcaa-full: {', '.join(LGCAA_PARTS)} (default: all, on a CPU not "
        "memory)",
    )
    parser.add_argument(
        "--sizes", choices=["full", "tiny"], default="full", help="of lgcaa-full, cuda: tiny to try it (default: full)"
    )
    parser.add_argument("--tiny", dest="sizes", action="store_const", const="tiny", help="the same as --sizes tiny")
    parser.add_argument("--device", choices=["cuda", "cpu"], help="of cuda: cpu to try it (default: cuda)")
    parser.add_argument(
        "--minutes", type=float, default=6, help="of cuda: what is not done by then is left (default: 6)"
    )
    parser.add_argument("--out", default="benchmark_cuda.md", help="of cuda: file of the tables (default: %(default)s)")
    parser.add_argument("--file", help=argparse.SUPPRESS)
    parser.add_argument("--workload", help=argparse.SUPPRESS)
    parser.add_argument("--mode", choices=["none", "full"], default="full", help=argparse.SUPPRESS)
    parser.add_argument("--mask-stride", type=int, default=1, help=argparse.SUPPRESS)


def run(args: argparse.Namespace) -> None:
    """Run a benchmark, or in a measuring process a workload."""
    from prismsr.tools.benchmarks.measure import describe_machine
    from prismsr.tools.benchmarks.workloads import COMPARISONS, run_workload

    if args.workload:
        run_workload(args)
        return
    if args.name is None:
        raise OptionError(f"name a benchmark: {', '.join(BENCHMARKS)}")
    known = {"cuda": CUDA_PARTS, "lgcaa-full": LGCAA_PARTS}.get(args.name, ())
    if unknown := [part for part in args.parts or () if part not in known]:
        raise OptionError(f"--parts of {args.name}: {', '.join(known) or 'none'}; got {', '.join(unknown)}")
    describe_machine()
    COMPARISONS[args.name](args)
