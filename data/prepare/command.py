"""Arguments and run of tools/prepare.py: a subcommand for each step."""

import argparse
from contextlib import ExitStack

from prismsr.data.prepare import downsample, edges, latents, make_lmdb, multiscale, photos, prompt, subimages, verify
from prismsr.data.prepare.testsets import command as testset
from prismsr.data.prepare.versions import labels, multi_gt, score
from prismsr.utils.folder_lock import folder_lock

SUBCOMMANDS = {
    "photos": photos,
    "multiscale": multiscale,
    "subimages": subimages,
    "downsample": downsample,
    "edges": edges,
    "multi-gt": multi_gt,
    "labels": labels,
    "score": score,
    "latents": latents,
    "prompt": prompt,
    "lmdb": make_lmdb,
    "testset": testset,
    "verify": verify,
}
PLAIN = ("photos", "multiscale", "subimages", "downsample", "lmdb", "verify")
"""Those that work on images alone, and look up no network, loss or metric."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the steps, each with its arguments."""
    subparsers = parser.add_subparsers(dest="subcommand", required=True, metavar="SUBCOMMAND")
    for name, step in SUBCOMMANDS.items():
        description = step.__doc__ or ""
        step.add_arguments(subparsers.add_parser(name, help=description, description=description))


def needs_parts(args: argparse.Namespace) -> bool:
    """Return whether the step may look up a registered part."""
    return args.subcommand not in PLAIN


def run(args: argparse.Namespace) -> int:
    """Run the step, alone in its output; FolderInUseError where another run is writing there."""
    outputs = [args.output] if getattr(args, "output", None) else []
    if args.subcommand == "testset":  # two runs may fill the folder of all sets with different ones
        outputs = [] if args.list else [args.output / name for name in dict.fromkeys(args.names)]
    with ExitStack() as stack:
        for output in outputs:
            stack.enter_context(folder_lock(output))
        return int(SUBCOMMANDS[args.subcommand].run(args))
