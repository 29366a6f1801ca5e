"""Make several ground truths of each HR image: enhanced versions, cut into patches that are worth keeping (HGGT).

Paper: AMO, after HGGT.
"""

import argparse
import json
from dataclasses import asdict
from functools import partial
from hashlib import sha256
from typing import Any

from prismsr.data.prepare.common import add_folder_arguments, claim_step, find_inputs, print_result, run_all
from prismsr.data.prepare.versions.enhancement import SUFFIXES, read_enhancements
from prismsr.data.prepare.versions.filters import CLASSICAL
from prismsr.data.prepare.versions.multi_gt_patches import write_patches, write_selection
from prismsr.data.prepare.versions.patch_selection import PatchRule
from prismsr.utils.command_line import whole_number

STEP = "multi-gt"
SELECTION = "selection.csv"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line of the step."""
    add_folder_arguments(parser)
    parser.add_argument(
        "--enhancer",
        nargs="+",
        default=list(CLASSICAL),
        metavar="NAME|FILE",
        help=f"one version each, 01, 02, ...: {', '.join(CLASSICAL)} (the default), or a x1 network's weights "
        f"({', '.join(SUFFIXES)}) of an architecture that spandrel knows",
    )
    parser.add_argument(
        "--tile", type=whole_number(0), default=1024, help="of networks; 0: none (default: %(default)s)"
    )
    parser.add_argument("--tile-pad", type=whole_number(0), default=24, help="around tiles (default: %(default)s)")
    parser.add_argument("--device", default="cpu", help="of networks: cpu, cuda, cuda:1 ... (default: %(default)s)")
    parser.add_argument("--crop", type=whole_number(1), default=512, help="side in pixels (default: %(default)s)")
    parser.add_argument("--step", type=whole_number(1), default=288, help="of the grid (default: %(default)s)")
    parser.add_argument("--jitter", type=whole_number(0), default=16, help="of each patch (default: %(default)s)")
    parser.add_argument(
        "--std", type=float, default=30.0, help="grey levels' deviation that a version needs (default: %(default)s)"
    )
    parser.add_argument(
        "--laplacian", type=float, default=30.0, help="Laplacian's variance it needs, too (default: %(default)s)"
    )
    parser.add_argument("--all-patches", action="store_true", help="keep every patch, whatever is in it")
    parser.add_argument("--seed", type=whole_number(0), default=0, help="of the patches' places (default: %(default)s)")


def run(args: argparse.Namespace) -> int:
    """Write OUTPUT/original/NAME-ROW-COLUMN.png, OUTPUT/01/NAME-ROW-COLUMN_01.png, ..., and selection.csv."""
    images = find_inputs(args.input, args.output)
    enhancements = read_enhancements(args.enhancer, args.tile, args.tile_pad, args.device)
    rule = PatchRule(args.crop, args.step, args.jitter, args.std, args.laplacian, args.all_patches)
    made_by = {"enhancers": [each.record() for each in enhancements], **asdict(rule), "seed": args.seed}
    claim_step(args, STEP, made_by)
    work = partial(
        write_patches, output=args.output, enhancers=enhancements, rule=rule, seed=args.seed, run_id=run_id(made_by)
    )
    # a network uses all cores by itself, and CUDA does not survive a fork
    workers = 1 if any(each.is_network for each in enhancements) else args.workers
    results, skipped = run_all(args, STEP, work, [(path, key) for key, path in images.items()], workers)
    found = sum(len(result.patches) for result in results)
    kept = write_selection(args.output / SELECTION, results, rule, len(enhancements))
    note = f"; {kept} of {found} patches kept, figures of all in {SELECTION}"
    print_result(STEP, args.output, [result.written for result in results], skipped, note)
    return 0


def run_id(made_by: dict[str, Any]) -> str:
    """Return a short name of what the outputs depend on."""
    return sha256(json.dumps(made_by, sort_keys=True).encode()).hexdigest()[:16]
