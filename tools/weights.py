"""Weights that option files and metrics need: show them (list), see whether they are whole (check), get them (fetch).

    python tools/weights.py list --options options/ssl
    python tools/weights.py check --options options/amo/swinir_upos_x4.yml --metrics lpips dists
    python tools/weights.py fetch --metrics musiq

Without --options and --metrics everything that is known is meant. Exit code: 0 all there, 1 something is missing or
damaged (check) or could not be fetched (fetch), 2 wrong arguments, 130 stopped by Ctrl-C.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prismsr.utils.command_line import fail, run_main
from prismsr.utils.errors import OptionError, UserError
from prismsr.utils.names import did_you_mean
from prismsr.utils.options.files import load_options, shown
from prismsr.utils.weights.downloads import DownloadError, download
from prismsr.utils.weights.needs import PYIQA, WITHOUT_WEIGHTS, needs_of
from prismsr.utils.weights.published import FULL, Weights, examine, maker_of, place, read_list, shown_place

ROOT = Path(__file__).resolve().parents[1]
SHOWN = 3
METRICS = {"topiq": "topiq_nr", "niqe-pyiqa": "niqe"}
"""Names of tools/evaluate.py that are not pyiqa's."""
WITHOUT = (*WITHOUT_WEIGHTS, "psnr", "ssim", "niqe", "lpips-st", "natural-scene", "sfd-iqa")
"""Metrics that download nothing: they have no weights, a package brings them, or files are named (SFD-IQA)."""


@dataclass(frozen=True)
class Wanted:
    """What a command line asks for.

    Attributes:
        entries: entries of the list, with those that need each of them.
        made: checkpoints that an option file's training writes: path -> (that file, those that need it).
        unknown: needs that nothing is known of, with those that have them.
    """

    entries: dict[Weights, list[str]]
    made: dict[str, tuple[str, list[str]]]
    unknown: dict[str, list[str]]


def option_files(paths: Sequence[Path]) -> dict[str, dict[str, Any]]:
    """The merged option files below the folders, and the files; fragments below `_base_` are left out."""
    files = [file for path in paths for file in (sorted(path.rglob("*.yml")) if path.is_dir() else [path])]
    return {shown(file): load_options(file) for file in files if "_base_" not in file.parts}


def wanted(
    options: dict[str, dict[str, Any]] | None,
    metrics: Sequence[str] | None,
    root: Path,
    entries: Sequence[Weights] | None = None,
) -> Wanted:
    """Sort out who needs what.

    Args:
        options: merged option files; None for all of the repository.
        metrics: names of metrics; None for none where `options` is given, else for all.
        root: the repository's folder.
        entries: the list of weights; None for the repository's.

    Raises:
        OptionError: a metric of which no weights are known.
    """
    entries, everything = read_list() if entries is None else entries, options is None and metrics is None
    makers = option_files([root / "options"]) if (root / "options").is_dir() else {}
    chosen = makers if everything else options or {}
    found: dict[Weights, list[str]] = {entry: [] for entry in entries} if everything else {}
    made: dict[str, tuple[str, list[str]]] = {}
    unknown: dict[str, list[str]] = {}
    for file, content in chosen.items():
        for need in needs_of(content):
            serving = [entry for entry in entries if entry.serves(need.what)]
            maker = maker_of(need.what, {**makers, **chosen})
            for entry in serving:
                found.setdefault(entry, []).append(file)
            if not serving and maker is not None:
                made.setdefault(need.what.removeprefix("file:"), (maker, []))[1].append(file)
            elif not serving:
                unknown.setdefault(need.what, []).append(f"{file} ({need.where})")
    for name in metrics or ():
        for entry in _of_metric(name, entries):
            found.setdefault(entry, []).append(f"the metric {name}")
    return Wanted(found, made, unknown)


def _of_metric(name: str, entries: Sequence[Weights]) -> list[Weights]:
    if name in WITHOUT:
        return []
    plain = name.removeprefix(PYIQA)
    found = [entry for entry in entries if entry.serves(f"metric:{METRICS.get(plain, plain)}")]
    if not found:
        known = [
            what.removeprefix("metric:") for entry in entries for what in entry.needed_by if what.startswith("metric:")
        ]
        raise OptionError(f"--metrics {name}: no weights of it are listed{did_you_mean(name, known)}")
    return found


def show(want: Wanted, root: Path) -> int:
    """Print what is wanted, where it belongs and where it comes from; files are not read."""
    for weights, users in want.entries.items():
        path = place(weights, root)
        print(f"{weights.name}: {'there' if path is not None and path.is_file() else 'not there'}")
        size = f"{weights.size:,} bytes" if weights.size else ""
        facts = ", ".join(part for part in (size, _published(weights)) if part)
        rows = {"to": shown_place(weights, root), "from": weights.source, "is": facts, "terms": weights.licence}
        rows["for"] = _users(users) or ", ".join(weights.needed_by).replace("metric:", "the metric ")
        print("\n".join(f"  {name:6}{value}" for name, value in rows.items() if value))
    for file, (maker, users) in want.made.items():
        print(
            f"{file}: {'there' if (root / file).is_file() else 'not there'}\n  made by {maker}\n  for   {_users(users)}"
        )
    _tell_unknown(want)
    return 0


def _published(weights: Weights) -> str:
    if len(weights.sha256) == FULL:
        return f"SHA-256 {weights.sha256}"
    return f"SHA-256 begins with {weights.sha256}" if weights.sha256 else ""


def check(want: Wanted, root: Path) -> int:
    """Print of each file whether it is there and whole; 1 where one is not."""
    bad = 0
    for weights in want.entries:
        finding = examine(weights, root)
        bad += finding.state != "there"
        source = (
            "" if finding.state == "there" else f"; to be put at {shown_place(weights, root)}, from {weights.source}"
        )
        print(f"{finding.state:8}{weights.name}: {finding.text}{source}")
    for file, (maker, _) in want.made.items():
        entry = Weights(path=file, licence="ours", page=f"training with {maker}")
        finding = examine(entry, root)
        bad += finding.state != "there"
        print(f"{finding.state:8}{file}: {finding.text}" + (f"; made by {maker}" if finding.state != "there" else ""))
    _tell_unknown(want)
    print(f"{len(want.entries) + len(want.made)} files, {bad} missing or damaged, {len(want.unknown)} unknown")
    return 1 if bad or want.unknown else 0


def fetch(want: Wanted, root: Path, overwrite: bool = False) -> int:
    """Download what is missing; 1 where something could not be fetched. What is made by training is left to it."""
    failed = 0
    for weights in want.entries:
        finding = examine(weights, root)
        if finding.state == "there" or (finding.state == "damaged" and not overwrite):
            failed += finding.state == "damaged"
            hint = "; --overwrite fetches it anew" if finding.state == "damaged" else ""
            print(f"{weights.name}: {finding.text}{hint}")
            continue
        try:
            _fetch_one(weights, root)
            print(f"{weights.name}: fetched to {shown_place(weights, root)}")
        except UserError as error:
            failed += 1
            print(f"{weights.name}: {error}", file=sys.stderr)
    for file, (maker, _) in want.made.items():
        if not (root / file).is_file():
            print(f"{file}: not published; train it with {maker}")
    _tell_unknown(want)
    return 1 if failed else 0


def _fetch_one(weights: Weights, root: Path) -> None:
    if weights.hub is not None:
        _fetch_from_hub(weights)
        return
    path = place(weights, root)
    if weights.url is None or path is None:
        raise DownloadError(f"there is no direct address; get it from {weights.page} and put it at {path}")
    download(weights.url, path, size=weights.size, sha256=weights.sha256)


def _fetch_from_hub(weights: Weights) -> None:
    """By the hub's own client, which keeps the layout of its cache, goes on where it was cut, and compares hashes."""
    from huggingface_hub import hf_hub_download, snapshot_download

    assert weights.hub is not None
    repository, file = weights.hub
    try:
        if weights.files:
            snapshot_download(repository, allow_patterns=[file, *weights.files])
        else:
            hf_hub_download(repository, file)
    except Exception as error:  # the client raises many kinds: no network, no access, a full disk
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DownloadError(
            f"{repository} cannot be fetched from the Hugging Face hub ({reason}). On a machine with a network, run: "
            f"hf download {repository} {'' if weights.files else file}. Then copy its cache (HF_HOME, by default "
            "~/.cache/huggingface) here"
        ) from error


def _tell_unknown(want: Wanted) -> None:
    for what, users in want.unknown.items():
        print(f"{what}: nothing is known of it; for {_users(users)}")


def _users(users: Sequence[str]) -> str:
    more = f" and {len(users) - SHOWN} more" if len(users) > SHOWN else ""
    return ", ".join(users[:SHOWN]) + more


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="weights.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("command", choices=["list", "check", "fetch"])
    parser.add_argument("--options", nargs="+", type=Path, metavar="FILE", help="option files or folders of them")
    parser.add_argument("--metrics", nargs="+", metavar="NAME", help="metrics, as tools/evaluate.py names them")
    parser.add_argument("--overwrite", action="store_true", help="fetch: replace files that are not as published")
    return parser


def main(argv: Sequence[str] | None = None, root: Path = ROOT, entries: Sequence[Weights] | None = None) -> int:
    """Run a command; return the exit code. A test may give another repository and another list."""
    args = build_parser().parse_args(argv)
    try:
        options = None if args.options is None else option_files(args.options)
        want = wanted(options, args.metrics, root, entries)
        if args.command == "fetch":
            return fetch(want, root, args.overwrite)
        return (show if args.command == "list" else check)(want, root)
    except (UserError, OSError) as error:
        return fail("weights.py", error, 2)
    except KeyboardInterrupt:
        return fail("weights.py", "stopped; what has arrived is kept, the same command goes on from there", 130)


if __name__ == "__main__":
    run_main(main)
