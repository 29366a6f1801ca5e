"""Decode every image of a GT set, its LQ images and its masks, and check that they are whole and fit together."""

import argparse
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from prismsr.data.images.partner_names import SAME, check_template, describe_template, strip_template
from prismsr.data.images.source import META_INFO, ImageSource, LmdbSource, close_lmdb, open_source
from prismsr.data.prepare.lmdb_store import hash_value
from prismsr.utils.command_line import add_workers, print_list, whole_number
from prismsr.utils.images import ImageReadError, decode_image, decode_mask
from prismsr.utils.processes import run_jobs

Size = tuple[int, int]


@dataclass(frozen=True)
class Finding:
    """What reading one image gave: its (height, width) in pixels, or a problem."""

    key: str
    size: Size | None = None
    problem: str | None = None
    checksummed: bool = False


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line of the step."""
    parser.add_argument("gt", type=Path, metavar="X", help="folder or LMDB of images")
    parser.add_argument("--lq", type=Path, help="folder or LMDB of its LQ images")
    parser.add_argument(
        "--filename-tmpl",
        type=_read_template,
        default=SAME,
        metavar="NAME",
        help="name of an LQ image, {} standing for that of X: {}x4 for DIV2K's (default: %(default)s)",
    )
    parser.add_argument("--mask", type=Path, help="folder or LMDB of its masks")
    parser.add_argument(
        "--scale", type=whole_number(1), default=4, help="size of X divided by size of LQ (default: %(default)s)"
    )
    add_workers(parser)


def _read_template(text: str) -> str:
    try:
        return check_template(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def run(args: argparse.Namespace) -> int:
    """Print every problem; 1 if there is any, else 0."""
    roots = {"X": args.gt, "LQ": args.lq, "mask": args.mask}
    problems: list[str] = []
    sizes: dict[str, dict[str, Size]] = {}
    for kind, root in roots.items():
        if root is not None:
            sizes[kind] = check_set(kind, root, args.workers, problems)
    if "LQ" in sizes:
        problems += pair(sizes, args.filename_tmpl)
    for kind, scale in (("LQ", args.scale), ("mask", 1)):
        if kind in sizes:
            problems += compare(kind, sizes["X"], sizes[kind], scale)
    if problems:
        print(f"verify: {len(problems)} problem{'s' * (len(problems) > 1)}:")
        print_list(problems)
        return 1
    print("verify: no problem found" + (", the sets fit together" if len(sizes) > 1 else ""))
    return 0


def pair(sizes: dict[str, dict[str, Size]], template: str) -> list[str]:
    """Put the LQ images under the names of X; return a hint where another template would fit them."""
    hint = describe_template(sizes["X"], sizes["LQ"], "add --filename-tmpl {}", template)
    if hint:
        del sizes["LQ"]
        return [f"LQ: {hint}"]
    sizes["LQ"] = strip_template(sizes["LQ"], template)
    return []


def check_set(kind: str, root: Path, workers: int, problems: list[str]) -> dict[str, Size]:
    """Read one set, add its problems to the list, and print a summary.

    Return (height, width) by key, (0, 0) where an image cannot be read.
    """
    _open.cache_clear()
    source = open_source(root)
    keys = source.keys()
    findings: list[Finding] = []
    jobs = [(key, str(root), kind == "mask") for key in keys]
    run_jobs(check_image, jobs, workers=workers, label=f"verify {kind}", consume=findings.append)
    found = [finding.problem for finding in findings if finding.problem]
    if isinstance(source, LmdbSource):
        found += check_listing(source, keys)
        close_lmdb(root)
    problems += found
    checksums = sum(finding.checksummed for finding in findings)
    print(f"verify: {kind}: {root}: {len(keys)} images read, {checksums} checksums compared, {len(found)} problems")
    return {finding.key: finding.size or (0, 0) for finding in findings}


@lru_cache(maxsize=8)
def _open(root: str) -> tuple[ImageSource, dict[str, str]]:
    """Return a set and the checksums of its manifest by key, opened once per process."""
    source = open_source(root)
    manifest = source.manifest() if isinstance(source, LmdbSource) else {}
    return source, {stored: entry["sha256"] for stored, entry in manifest.items()}


def check_image(key: str, root: str, is_mask: bool) -> Finding:
    """Read, checksum and decode one image."""
    source, checksums = _open(root)
    where = source.describe(key)
    expected = checksums.get(source.stored_key(key)) if isinstance(source, LmdbSource) else None
    try:
        data = source.read(key)
        if expected is not None and hash_value(data) != expected:
            return Finding(
                key, problem=f"{where}: the stored bytes differ from the manifest's SHA-256", checksummed=True
            )
        image = decode_mask(data, where) if is_mask else decode_image(data, where)
    except ImageReadError as error:
        return Finding(key, problem=str(error), checksummed=expected is not None)
    return Finding(key, size=(image.shape[0], image.shape[1]), checksummed=expected is not None)


def check_listing(source: LmdbSource, keys: list[str]) -> list[str]:
    """Return problems of an LMDB's lists: meta_info.txt, where BasicSR finds the keys, and the manifest, if any."""
    meta_info = source.root / META_INFO
    if not meta_info.is_file():
        return [f"{meta_info}: missing; BasicSR cannot read the LMDB without it"]
    stored = {source.stored_key(key) for key in keys}
    lists = {META_INFO: {line.split(".")[0] for line in meta_info.read_text(encoding="utf8").splitlines()}}
    if source.encoded:
        lists["manifest"] = set(source.manifest())
    problems = []
    for name, listed in lists.items():
        problems += [f"{key}: listed in the {name}, but not stored" for key in sorted(listed - stored)]
        problems += [f"{key}: stored, but not listed in the {name}" for key in sorted(stored - listed)]
    return [f"{source.root}, key {problem}" for problem in problems]


def compare(kind: str, gt: dict[str, Size], other: dict[str, Size], scale: int) -> list[str]:
    """Return problems between X and LQ images (or masks, scale 1): keys that one lacks, sizes that do not fit."""
    problems = [f"{key}: in X, but not in the {kind} set" for key in sorted(gt.keys() - other.keys())]
    problems += [f"{key}: in the {kind} set, but not in X" for key in sorted(other.keys() - gt.keys())]
    for key in sorted(gt.keys() & other.keys()):
        size, expected = gt[key], (other[key][0] * scale, other[key][1] * scale)
        if (0, 0) not in (size, expected) and size != expected:
            times = f" times {scale}" if scale > 1 else ""
            problems.append(f"{key}: X is {size[0]} x {size[1]}, {kind} is {other[key][0]} x {other[key][1]}{times}")
    return problems
