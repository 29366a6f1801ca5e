"""Prepare training and test data: `python tools/prepare.py SUBCOMMAND --help` tells what each step does."""

import argparse
from collections.abc import Sequence
from functools import partial

from prismsr.data.images.source import DamagedSourceError
from prismsr.data.prepare import downsample, edges, latents, make_lmdb, multiscale, photos, subimages, verify
from prismsr.data.prepare.testsets import command as testset
from prismsr.data.prepare.versions import labels, multi_gt, score
from prismsr.utils.command_line import fail, run_main
from prismsr.utils.errors import DataError, JobError, UserError

import lmdb

_fail = partial(fail, "prepare.py")

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


def build_parser() -> argparse.ArgumentParser:
    """The command line, a subparser for each step."""
    parser = argparse.ArgumentParser(prog="prepare.py", description="Prepare training and test data.")
    subparsers = parser.add_subparsers(dest="subcommand", required=True, metavar="SUBCOMMAND")
    for name, step in SUBCOMMANDS.items():
        description = step.__doc__ or ""
        step.add_arguments(subparsers.add_parser(name, help=description, description=description))
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run a step.

    Returns:
        Exit code: 0 done, 1 failed, 2 wrong arguments, 130 stopped by Ctrl-C.
    """
    args = build_parser().parse_args(argv)
    try:
        return int(SUBCOMMANDS[args.subcommand].run(args))
    except DamagedSourceError as error:
        return _fail(error, 1)
    except DataError as error:
        hint = "; --on-error skip goes on without such images" if hasattr(args, "on_error") else ""
        return _fail(f"{error}{hint}", 1)
    except UserError as error:
        return _fail(error, 2)
    except (JobError, OSError, lmdb.Error) as error:
        return _fail(error, 1)
    except KeyboardInterrupt:
        return _fail("stopped; what is finished is kept, the same command goes on from there", 130)


if __name__ == "__main__":
    run_main(main)
