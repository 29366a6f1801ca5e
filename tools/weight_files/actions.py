"""What tools/weights.py does with the weights that are wanted: show, check or fetch them."""

import sys
from pathlib import Path

from prismsr.tools.weight_files.wanted import Wanted
from prismsr.utils.errors import UserError
from prismsr.utils.names import list_first
from prismsr.utils.weights.downloads import DownloadError, download
from prismsr.utils.weights.published import FULL, Weights, examine, is_there, place, shown_place

SHOWN = 3


def show(want: Wanted, root: Path) -> int:
    """Print what is wanted, where it belongs and where it comes from; files are not read."""
    for weights, users in want.entries.items():
        print(f"{weights.name}: {'there' if is_there(weights, root) else 'not there'}")
        size = f"{weights.size:,} bytes" if weights.size else ""
        facts = ", ".join(part for part in (size, _find_published(weights)) if part)
        rows = {"to": shown_place(weights, root), "from": weights.source, "is": facts, "terms": weights.licence}
        rows["for"] = list_first(users, SHOWN) or ", ".join(weights.needed_by).replace("metric:", "the metric ")
        print("\n".join(f"  {name:6}{value}" for name, value in rows.items() if value))
    for file, (maker, users) in want.made.items():
        state = "there" if (root / file).is_file() else "not there"
        print(f"{file}: {state}\n  made by {maker}\n  for   {list_first(users, SHOWN)}")
    _tell_unknown(want)
    return 0


def _find_published(weights: Weights) -> str:
    if len(weights.sha256) == FULL:
        return f"SHA-256 {weights.sha256}"
    return f"SHA-256 begins with {weights.sha256}" if weights.sha256 else ""


def check(want: Wanted, root: Path) -> int:
    """Print of each file whether it is there and whole; 1 where one is not."""
    files = [
        (entry, entry.name, f"to be put at {shown_place(entry, root)}, from {entry.source}") for entry in want.entries
    ]
    for file, (maker, _) in want.made.items():
        files.append((Weights(path=file, licence="ours", page=f"training with {maker}"), file, f"made by {maker}"))
    bad = 0
    for entry, name, source in files:
        finding = examine(entry, root)
        bad += finding.state != "there"
        print(f"{finding.state:8}{name}: {finding.text}" + (f"; {source}" if finding.state != "there" else ""))
    _tell_unknown(want)
    print(f"{len(files)} files, {bad} missing or damaged, {len(want.unknown)} unknown")
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
    """Fetch by the hub's own client: it keeps its cache's layout, goes on where it was cut, and compares hashes."""
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
        print(f"{what}: nothing is known of it; for {list_first(users, SHOWN)}")
