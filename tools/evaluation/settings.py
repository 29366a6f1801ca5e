"""A protocol with the settings that a command line gives."""

import argparse
from dataclasses import replace
from typing import Any

from prismsr.tools.evaluation.columns import read_metric_settings
from prismsr.tools.evaluation.protocols import (
    Protocol,
    find_protocol,
    make_protocol,
    narrow,
    override,
)
from prismsr.utils.errors import OptionError


def choose_protocol(args: argparse.Namespace) -> Protocol:
    """Return the protocol of the command line with all settings that it changes.

    Raises:
        OptionError: neither protocol nor metrics, an unknown one, or a setting that does not fit.
    """
    if args.protocol is None and not args.metrics:
        raise OptionError("give --protocol or --metrics; --help lists both")
    protocol = make_protocol(args.metrics) if args.protocol is None else find_protocol(args.protocol)
    if args.protocol is not None and args.metrics:
        protocol = narrow(protocol, args.metrics)
    if args.niqe:
        protocol = _choose_niqe(protocol, args.niqe)
    names = [spec.known.name for spec in protocol.metrics if spec.known.reference != "set"]
    if args.crop_border is not None:
        protocol = override(protocol, {name: {"crop_border": args.crop_border} for name in names})
    if args.y_channel is not None:
        on_pixels = {"psnr", "ssim"}.intersection(names)
        protocol = override(protocol, {name: {"y_channel": args.y_channel} for name in on_pixels})
    protocol = override(protocol, _read_settings(args))
    changes = {"references": args.references, "several": args.several, "align": args.align}
    return replace(protocol, **{key: value for key, value in changes.items() if value is not None})


def _choose_niqe(protocol: Protocol, whose: str) -> Protocol:
    wanted = "niqe" if whose == "basicsr" else "niqe-pyiqa"
    if not any(spec.column == "NIQE" for spec in protocol.metrics):
        raise OptionError("--niqe: NIQE is not among the metrics")
    specs = (
        replace(spec, metric=wanted, basis=f"{spec.basis}; changed by you") if spec.column == "NIQE" else spec
        for spec in protocol.metrics
    )
    return replace(protocol, metrics=tuple(specs))


def _read_settings(args: argparse.Namespace) -> dict[str, dict[str, Any]]:
    found = read_metric_settings(args.metric_options, "--metric-options")
    for metric, key, value in (
        ("lpips", "net", args.lpips_net),
        ("fid", "mode", args.fid_mode),
        ("fid", "patches", args.fid_patches),
    ):
        if value is not None:
            found.setdefault(metric, {}).setdefault(key, value)
    return found
