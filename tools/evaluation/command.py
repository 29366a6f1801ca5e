"""Arguments and run of tools/evaluate.py."""

import argparse
import json
from pathlib import Path

from prismsr.metrics.catalog import TABLE
from prismsr.tools.evaluation.matching import REFERENCES
from prismsr.tools.evaluation.summary import SCORES, SUMMARY, format_markdown
from prismsr.utils.command_line import add_workers, whole_number
from prismsr.utils.errors import OptionError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add = parser.add_argument
    add("--sr", type=Path, help="folder of SR images")
    add("--gt", type=Path, help="folder of ground truths")
    add("--protocol", help="a paper's, such as ssl, or a table's, such as ssl-1")
    names = ", ".join(one.name for one in TABLE)
    add("--metrics", nargs="+", help=f"{names}, or another of pyiqa; with --protocol, only these of it")
    add("--explain", action="store_true", help="print exactly what is done, and stop")
    add("-o", "--output", type=Path, help="folder of the results (default: results/evaluation/NAME)")
    _add_settings(parser)
    _add_matching(parser)
    parser.add_argument("--device", help="cpu, cuda (all GPUs, a process each), cuda:1 ... (default: what is there)")
    parser.add_argument("--batch", type=whole_number(1), default=8, help="images of equal size at once (default: 8)")
    parser.add_argument("--skip-missing", action="store_true", help="go on without metrics whose weights are not there")
    add_workers(parser)


def _add_settings(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("settings, over those of the protocol")
    add = group.add_argument
    add("--crop-border", type=whole_number(0), help="pixels left out at each edge, by all metrics but fid")
    channels = group.add_mutually_exclusive_group()
    channels.add_argument("--y", dest="y_channel", action="store_true", default=None, help="PSNR and SSIM of Y")
    channels.add_argument("--rgb", dest="y_channel", action="store_false", help="PSNR and SSIM of R, G and B")
    add("--lpips-net", choices=["alex", "vgg", "squeeze"], help="backbone of lpips")
    add("--niqe", choices=["basicsr", "pyiqa"], help="whose NIQE")
    add("--fid-mode", choices=["clean", "legacy_pytorch"], help="how images are resized for FID")
    add("--fid-patches", type=whole_number(1), help="FID on patches of this side instead of whole images")
    add("--metric-options", nargs="+", default=[], metavar="METRIC.KEY=VALUE", help="such as sfd-iqa.feat_d=FILE")


def _add_matching(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("which image belongs to which").add_argument
    add("--suffix", help="what SR names have beyond the GT's, such as _x4 (default: found by itself)")
    add("--references", choices=REFERENCES, help="which versions of several GTs per image count")
    add("--labels", type=Path, help="annotators' folder or CSV (default: labels beside the GT folder)")
    add("--several", action=argparse.BooleanOptionalAction, help="SR images NAME+ANYTHING belong to the GT NAME")
    add("--align", choices=["equal", "crop"], help="crop: a larger GT is cut to the SR image's size")


def run(args: argparse.Namespace) -> int:
    """Evaluate and print; returns 0, or 1 where images failed."""
    from prismsr.tools.evaluation.folder import evaluate_folder
    from prismsr.tools.evaluation.protocols import choose_protocol

    protocol = choose_protocol(args)
    if args.explain:
        print("\n".join(protocol.explain()))
        return 0
    if args.sr is None:
        raise OptionError("--sr: the folder of SR images is needed")
    output = args.output or choose_output(args.sr, protocol.name)
    summary = evaluate_folder(
        args.sr, args.gt, protocol, output, args.workers, args.device,
        suffix=args.suffix, labels=args.labels, batch=args.batch, skip_missing=args.skip_missing,
    )  # fmt: skip
    print(format_markdown(summary))
    print(f"\nwritten: {output / SCORES} and {SUMMARY}")
    return 0 if summary.complete else 1


def choose_output(sr: Path, protocol: str) -> Path:
    """Return results/evaluation/NAME; OptionError where results of another folder are there.

    Folders of several methods often have one name, that of the test set.
    """
    output = Path("results/evaluation") / f"{sr.resolve().name}_{protocol}"
    try:
        other = str(json.loads((output / SUMMARY).read_text(encoding="utf8"))["sr"])
    except (OSError, ValueError, KeyError, TypeError):
        return output
    if Path(other).resolve() != sr.resolve():
        raise OptionError(f"{output} holds the results of {other}; name another folder by -o")
    return output
