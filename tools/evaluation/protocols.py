"""How each paper's tables were measured: presets for evaluation, with what is printed in the paper, what its release
does, and what is our reconstruction."""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from prismsr.metrics.images import Align
from prismsr.tools.evaluation.columns import MetricSpec, read_metric_settings
from prismsr.tools.evaluation.matching import References
from prismsr.tools.paper_tables import find_protocols
from prismsr.utils.errors import OptionError
from prismsr.utils.names import did_you_mean

CUSTOM = "custom"
OURS = "our reconstruction"


@dataclass(frozen=True)
class Protocol:
    """What is computed from a folder of SR images.

    Attributes:
        name: on the command line.
        table: what it measures.
        metrics: the columns.
        references: see `matching.match`.
        several: SR images NAME+ANYTHING belong to the GT NAME; means over those of one GT, then over GTs.
        align: what a GT larger than the SR image means, see `metrics.images.read_pair`.
        notes: what else is to be known, each with where it comes from.
    """

    name: str
    table: str
    metrics: tuple[MetricSpec, ...]
    references: References = "single"
    several: bool = False
    align: Align = "equal"
    notes: tuple[str, ...] = ()

    def explain(self) -> list[str]:
        """Return exactly what is done, line by line."""
        lines = [f"{self.name}: {self.table}"]
        for spec in self.metrics:
            lines.append(f"  {spec.column}: {spec.describe()}" + (f" [{spec.basis}]" if spec.basis else ""))
        lines.append(f"  references: {_REFERENCES[self.references]}")
        lines.append(
            f"  mean: {_SEVERAL if self.several else 'over the images'}; std divided by n, of the same numbers"
        )
        lines.append(f"  sizes: {_ALIGN[self.align]}")
        lines.append("  images: files read back, 8 bits, RGB; grey is repeated, 16 bits are rounded, alpha is refused")
        return lines + [f"  note: {note}" for note in self.notes]


_REFERENCES = {
    "single": "one GT per image, by name",
    "positives": "all versions that most annotators labelled Positive, without the original; mean over them per image",
    "original": "the original alone",
    "all": "the original and all enhanced versions; mean over them per image",
}
_SEVERAL = "over the SR images NAME+ANYTHING of a GT NAME, then over the GTs"
_ALIGN = {
    "equal": "SR and GT must be equal",
    "crop": "a larger GT is cut to the SR image's size at the right and the bottom",
}


def _make_specs(metrics: str, crop_border: int, basis: str, **settings: Any) -> tuple[MetricSpec, ...]:
    """Return a column for each metric, all with one border and basis.

    `settings` are those of PSNR and SSIM; LPIPS has AlexNet in all papers.
    """
    alex = {"net": "alex"}
    own = {"psnr": settings, "ssim": settings, "lpips": alex, "lpips-st": alex}
    return tuple(MetricSpec(name, {"crop_border": crop_border, **own.get(name, {})}, basis) for name in metrics.split())


_SSL = "the SSL release's scripts, border 4 by default"
_SSL_GAN = _make_specs("psnr ssim lpips dists", 4, _SSL, y_channel=True)
_SSL_NR = _make_specs("niqe musiq clipiqa", 4, _SSL)
_SSL_FID = MetricSpec(
    "fid", {"mode": "legacy_pytorch", "patches": None}, "the SSL release: BasicSR's Inception, no border cut"
)
_LINEAGE = f"OSEDiff's test script; {OURS}: the paper is silent"
_HGGT = "HGGT's scripts; AMO's table has the same columns and does not say how it was made"
_SFD = f"{OURS}: the paper does not say"
_SFD_1 = "SSL's scripts: three baselines of the paper's table are SSL's table 1 to the printed digits"
_SEESR = f"{OURS}: SeeSR's settings, because baselines' figures agree with SeeSR's table"

_LGCAA = (
    *_make_specs("psnr ssim lpips dists", 0, _LINEAGE, y_channel=True, variant="pyiqa"),
    MetricSpec("fid", {"mode": "clean", "patches": None}, _LINEAGE),
    *_make_specs("niqe-pyiqa musiq maniqa-pipal clipiqa", 0, _LINEAGE),
)
_AMO_NR = _make_specs("musiq nima qalign topiq", 0, f"{OURS}: whole image, pyiqa's default network")

_ALL = (
    Protocol(
        "ssl",
        "SSL (ACM MM 2024), table 1, bicubic x4",
        _SSL_GAN,
        notes=("the release: GTs are cut to multiples of 12 before they are reduced",),
    ),
    Protocol(
        "ssl-degraded",
        "SSL (ACM MM 2024), sets with 30 degraded LRs per image",
        _SSL_GAN,
        several=True,
        notes=(
            "the release names LRs NAME+ANYTHING and takes the plain mean over all of them; with equally many per "
            "image that is the mean taken here",
        ),
    ),
    Protocol(
        "ssl-diffusion",
        "SSL (ACM MM 2024), table 2, diffusion models",
        (*_SSL_GAN, *_SSL_NR, _SSL_FID),
        notes=(
            "the release: NIQE is BasicSR's; FID compares with all files of the GT folder",
            "DPED-iPhone has no GT: --metrics niqe musiq clipiqa",
        ),
    ),
    Protocol(
        "sfd",
        "SFD (CVPR 2025), table 1, bicubic x4",
        (
            *_make_specs("psnr ssim", 4, f"Y: the paper; border 4: {_SFD_1}", y_channel=True),
            *_make_specs("lpips dists", 4, _SFD_1),
        ),
        notes=(
            "RankSRGAN, ESRGAN and SwinIR+L_GAN (SSL's SwinIRGAN) equal SSL's table in 16 of 16 cells each",
            "so GTs are cut to multiples of 12 before they are reduced, as SSL's release does",
        ),
    ),
    Protocol(
        "sfd-real",
        "SFD (CVPR 2025), table 2, real-world x4",
        (
            *_make_specs("psnr", 0, _SEESR, y_channel=True, variant="pyiqa"),
            *_make_specs("ssim lpips dists niqe-pyiqa", 0, f"{OURS}, as PSNR", y_channel=True, variant="pyiqa"),
        ),
        notes=("RealD2K's recipe is not published",),
    ),
    Protocol(
        "sfd-gopro",
        "SFD (CVPR 2025), table 5, deblurring on GoPro",
        (*_make_specs("psnr", 0, "NAFNet's release", y_channel=False), *_make_specs("lpips dists", 0, _SFD)),
    ),
    Protocol(
        "sfd-rain100l",
        "SFD (CVPR 2025), table 5, deraining on Rain100L",
        (
            *_make_specs("psnr", 0, f"{OURS}: deraining papers compare Y", y_channel=True),
            *_make_specs("lpips dists", 0, _SFD),
        ),
    ),
    Protocol(
        "amo",
        "AMO (CVPR 2025), table 7, HGGT Test-100",
        (
            *_make_specs("psnr ssim lpips", 4, _HGGT, y_channel=False),
            *_make_specs("lpips-st", 4, f"{OURS}: as LPIPS"),
            *_make_specs("dists", 4, _HGGT),
            *_AMO_NR,
        ),
        references="positives",
        notes=(
            "HGGT: an effective label is the majority of three annotators, Similar where all differ",
            "--references original and all give the other two readings of the table",
        ),
    ),
    Protocol(
        "amo-realsr",
        "AMO (CVPR 2025), table 8, RealSR v3 x4",
        (*_make_specs("psnr ssim lpips lpips-st dists", 4, f"{OURS}: as for HGGT", y_channel=False), *_AMO_NR),
        align="crop",
        notes=(f"{OURS}: whole images; GTs whose size is no multiple of 4 are cut to that of the SR image",),
    ),
    Protocol(
        "lgcaa",
        "LGCAA (2025), tables 1 to 3, StableSR's test crops",
        _LGCAA,
        notes=(
            "OSEDiff's published images have its published PSNR and SSIM, to four digits, by these settings",
            "FID of 93 or 100 images is strongly biased: compare at equal numbers only",
            "table 3 prints CLIPIQA x 100",
        ),
    ),
)
PROTOCOLS: dict[str, Protocol] = {protocol.name: protocol for protocol in _ALL}


def find_protocol(name: str) -> Protocol:
    """Return a protocol by its name or by its table, such as ssl or ssl-1; OptionError where there is none."""
    tables = find_protocols()
    known = PROTOCOLS.get(tables.get(name, name))
    if known is None:
        raise OptionError(f"no protocol named {name!r}{did_you_mean(name, [*PROTOCOLS, *tables])}")
    return known


def make_protocol(metrics: Sequence[str]) -> Protocol:
    """Return the metrics with their defaults: RGB, no border cut, pyiqa's networks, FID clean on whole images."""
    return Protocol(CUSTOM, "no paper's protocol", tuple(MetricSpec(name, {}) for name in metrics))


def narrow(protocol: Protocol, metrics: Sequence[str]) -> Protocol:
    """Return the protocol with these columns alone, in this order; a metric that it lacks is added with its defaults.

    Raises:
        OptionError: no such metric, or the protocol has another one in its column, such as pyiqa's NIQE.
    """
    by_name = {spec.known.name: spec for spec in protocol.metrics}
    by_column = {spec.column: name for name, spec in by_name.items()}
    chosen = []
    for spec in (MetricSpec(name, {}, "not in the protocol") for name in metrics):
        name = spec.known.name
        if by_column.get(spec.column, name) != name:
            other = by_column[spec.column]
            raise OptionError(f"--metrics {spec.metric}: the {spec.column} of {protocol.name} is {other}; write that")
        chosen.append(by_name.get(name, spec))
    return replace(protocol, metrics=tuple(chosen))


def override(protocol: Protocol, settings: Mapping[str, Mapping[str, Any]]) -> Protocol:
    """Return the protocol with other settings, by names of the catalogue; OptionError for a metric that it does not
    have.
    """
    names = {spec.known.name for spec in protocol.metrics}
    for name in settings:
        if name not in names:
            raise OptionError(f"{name} is not among the metrics{did_you_mean(name, names)}")
    return replace(
        protocol, metrics=tuple(_change_settings(spec, settings.get(spec.known.name, {})) for spec in protocol.metrics)
    )


def _change_settings(spec: MetricSpec, settings: Mapping[str, Any]) -> MetricSpec:
    changed = {key: value for key, value in settings.items() if key not in spec.settings or spec.settings[key] != value}
    if not changed:
        return spec
    told = ", ".join(f"{key} {value}" for key, value in changed.items())
    basis = f"{spec.basis}; changed by you: {told}" if spec.basis else ""
    return MetricSpec(spec.metric, {**spec.settings, **changed}, basis)


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
