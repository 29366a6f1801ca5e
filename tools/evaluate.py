"""Score a folder of SR images, by a paper's protocol or by metrics of your choice.

    python tools/evaluate.py --sr results/x/Set5 --gt datasets/testsets/Set5/GT --protocol ssl
    python tools/evaluate.py --sr results/x/Set5 --gt datasets/testsets/Set5/GT --metrics psnr ssim lpips-st --y
    python tools/evaluate.py --protocol amo --explain

Scores are kept as they are made: after Ctrl-C the same command goes on where it stopped. docs/guide/evaluation.md tells
what each protocol does.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from prismsr.metrics.fid import MODES
from prismsr.tools.evaluation.columns import KNOWN
from prismsr.tools.evaluation.folder import evaluate_folder
from prismsr.tools.evaluation.matching import REFERENCES
from prismsr.tools.evaluation.protocols import (
    PROTOCOLS,
    Protocol,
    custom_protocol,
    find_protocol,
    narrowed,
    overridden,
    with_crop_border,
    with_y_channel,
)
from prismsr.tools.evaluation.results import SCORES, SUMMARY, markdown
from prismsr.utils.command_line import add_workers, fail, run_main, whole_number
from prismsr.utils.errors import JobError, OptionError, UserError
from prismsr.utils.options.yaml_loader import read_yaml

_fail = partial(fail, "evaluate.py")


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="evaluate.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sr", type=Path, help="folder of SR images")
    parser.add_argument("--gt", type=Path, help="folder of ground truths")
    parser.add_argument("--protocol", help=f"one of {', '.join(PROTOCOLS)}, or a table such as ssl-1")
    parser.add_argument(
        "--metrics", nargs="+", help=f"{', '.join(KNOWN)}, pyiqa:NAME; with --protocol, only these of it"
    )
    parser.add_argument("--explain", action="store_true", help="print exactly what is done, and stop")
    parser.add_argument("-o", "--output", type=Path, help="folder of the results (default: results/evaluation/NAME)")
    _add_settings(parser)
    _add_matching(parser)
    parser.add_argument("--device", help="cpu, cuda (all GPUs, a process each), cuda:1 ... (default: what is there)")
    parser.add_argument("--batch", type=whole_number(1), default=8, help="images of equal size at once (default: 8)")
    parser.add_argument("--skip-missing", action="store_true", help="go on without metrics whose weights are not there")
    add_workers(parser)
    return parser


def _add_settings(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("settings, over those of the protocol")
    group.add_argument(
        "--crop-border", type=whole_number(0), help="pixels left out at each edge, by all metrics but fid"
    )
    channels = group.add_mutually_exclusive_group()
    channels.add_argument("--y", dest="y_channel", action="store_true", default=None, help="PSNR and SSIM of Y")
    channels.add_argument("--rgb", dest="y_channel", action="store_false", help="PSNR and SSIM of R, G and B")
    group.add_argument("--lpips-net", choices=["alex", "vgg", "squeeze"], help="backbone of lpips")
    group.add_argument("--niqe", choices=["basicsr", "pyiqa"], help="whose NIQE")
    group.add_argument("--fid-mode", choices=MODES, help="how images are resized for FID")
    group.add_argument(
        "--fid-patches", type=whole_number(1), help="FID on patches of this side instead of whole images"
    )
    group.add_argument(
        "--metric-options", nargs="+", default=[], metavar="METRIC.KEY=VALUE", help="such as sfd-iqa.feat_d=FILE"
    )


def _add_matching(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("which image belongs to which")
    group.add_argument("--suffix", help="what SR names have beyond the GT's, such as _x4 (default: found by itself)")
    group.add_argument("--references", choices=REFERENCES, help="which versions of several GTs per image count")
    group.add_argument("--labels", type=Path, help="annotators' folder or CSV (default: labels beside the GT folder)")
    group.add_argument(
        "--several", action=argparse.BooleanOptionalAction, help="SR images NAME+ANYTHING belong to the GT NAME"
    )
    group.add_argument("--align", choices=["equal", "crop"], help="crop: a larger GT is cut to the SR image's size")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool.

    Returns:
        Exit code: 0 done, 1 images failed or the run did, 2 wrong usage, folders or weights, 130 stopped by Ctrl-C.
    """
    args = build_parser().parse_args(argv)
    try:
        return run(args)
    except UserError as error:
        return _fail(error, 2)
    except JobError as error:
        lacking = isinstance(error.__cause__, UserError)
        return _fail(error.__cause__ if lacking else error, 2 if lacking else 1)
    except OSError as error:
        return _fail(error, 1)
    except KeyboardInterrupt:
        return _fail("stopped; the scores made so far are kept, the same command goes on from there", 130)


def run(args: argparse.Namespace) -> int:
    """Evaluate and print; returns 0, or 1 where images failed."""
    protocol = chosen_protocol(args)
    if args.explain:
        print("\n".join(protocol.explained()))
        return 0
    if args.sr is None:
        raise OptionError("--sr: the folder of SR images is needed")
    output = args.output or _default_output(args.sr, protocol.name)
    summary = evaluate_folder(
        args.sr, args.gt, protocol, output, args.workers, args.device,
        suffix=args.suffix, labels=args.labels, batch=args.batch, skip_missing=args.skip_missing,
    )  # fmt: skip
    print(markdown(summary))
    print(f"\nwritten: {output / SCORES} and {SUMMARY}")
    return 0 if summary.complete else 1


def _default_output(sr: Path, protocol: str) -> Path:
    """results/evaluation/NAME; folders of several methods often have one name, that of the test set.

    Raises:
        OptionError: results of another folder are there.
    """
    output = Path("results/evaluation") / f"{sr.resolve().name}_{protocol}"
    try:
        other = str(json.loads((output / SUMMARY).read_text(encoding="utf8"))["sr"])
    except (OSError, ValueError, KeyError, TypeError):
        return output
    if Path(other).resolve() != sr.resolve():
        raise OptionError(f"{output} holds the results of {other}; name another folder by -o")
    return output


def chosen_protocol(args: argparse.Namespace) -> Protocol:
    """The protocol of the command line with all settings that it changes.

    Raises:
        OptionError: neither protocol nor metrics, an unknown one, or a setting that does not fit.
    """
    if args.protocol is None and not args.metrics:
        raise OptionError("give --protocol or --metrics; --help lists both")
    protocol = custom_protocol(args.metrics) if args.protocol is None else find_protocol(args.protocol)
    if args.protocol is not None and args.metrics:
        protocol = narrowed(protocol, args.metrics)
    if args.niqe:
        protocol = _with_niqe(protocol, args.niqe)
    if args.crop_border is not None:
        protocol = with_crop_border(protocol, args.crop_border)
    if args.y_channel is not None:
        protocol = with_y_channel(protocol, args.y_channel)
    for metric, key, value in _single_settings(args):
        protocol = overridden(protocol, {metric: {key: value}})
    changes = {"references": args.references, "several": args.several, "align": args.align}
    return replace(protocol, **{key: value for key, value in changes.items() if value is not None})


def _with_niqe(protocol: Protocol, whose: str) -> Protocol:
    wanted = "niqe" if whose == "basicsr" else "niqe-pyiqa"
    if not any(spec.column == "NIQE" for spec in protocol.metrics):
        raise OptionError("--niqe: NIQE is not among the metrics")
    specs = (
        replace(spec, metric=wanted, basis=f"{spec.basis}; changed by you") if spec.column == "NIQE" else spec
        for spec in protocol.metrics
    )
    return replace(protocol, metrics=tuple(specs))


def _single_settings(args: argparse.Namespace) -> list[tuple[str, str, Any]]:
    given = [("lpips", "net", args.lpips_net), ("fid", "mode", args.fid_mode), ("fid", "patches", args.fid_patches)]
    found: list[tuple[str, str, Any]] = [setting for setting in given if setting[2] is not None]
    for text in args.metric_options:
        name, equals, value = text.partition("=")
        metric, dot, key = name.rpartition(".")
        if not (equals and dot and metric and key):
            raise OptionError(f"--metric-options {text}: write METRIC.KEY=VALUE")
        found.append((metric, key, read_yaml(value, f"--metric-options {name}")[0]))
    return found


if __name__ == "__main__":
    run_main(main)
