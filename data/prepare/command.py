"""Arguments and run of tools/prepare.py: a subcommand for each step."""

import argparse

from prismsr.data.prepare import downsample, edges, latents, make_lmdb, multiscale, photos, subimages, verify
from prismsr.data.prepare.testsets import command as testset
from prismsr.data.prepare.versions import labels, multi_gt, score

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
    "lmdb": make_lmdb,
    "testset": testset,
    "verify": verify,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the steps, each with its arguments."""
    subparsers = parser.add_subparsers(dest="subcommand", required=True, metavar="SUBCOMMAND")
    for name, step in SUBCOMMANDS.items():
        description = step.__doc__ or ""
        step.add_arguments(subparsers.add_parser(name, help=description, description=description))


def run(args: argparse.Namespace) -> int:
    """Run the step."""
    return int(SUBCOMMANDS[args.subcommand].run(args))
