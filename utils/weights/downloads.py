"""Download a file: resumed where it was cut, compared with what is published, in its place only when it is whole."""

import os
import re
import urllib.request
from email.message import Message
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError

from prismsr.utils.errors import UserError
from prismsr.utils.files import hash_file

from tqdm import tqdm

PARTIAL = ".download"
TIMEOUT = 60.0
"""Seconds without a byte."""
_BLOCK = 2**18
_RANGE_BEYOND_END = 416


class DownloadError(UserError, RuntimeError):
    """A file could not be fetched; the message says why, and what to do by hand."""


def download(url: str, target: Path, *, size: int | None = None, sha256: str = "", timeout: float = TIMEOUT) -> None:
    """Fetch a file; proxies are those of the environment (http_proxy, https_proxy, no_proxy).

    What has arrived of an interrupted download lies beside the target, in TARGET.download, and is gone on with where
    the server can.

    Args:
        url: http, https or file.
        target: where it goes; its folder is made.
        size: bytes, where known.
        sha256: its SHA-256 in hex or the first digits of it, where known.
        timeout: seconds to wait for the server.

    Raises:
        DownloadError: no connection, the server's refusal, a cut connection, or another file than published.
        OSError: the disk is full, or the folder cannot be written.
    """
    partial = target.with_name(f"{target.name}{PARTIAL}")
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        total = _transfer(url, partial, timeout, size)
    except HTTPError as error:
        raise DownloadError(
            f"{url}: the server answers {error.code} ({error.reason}). {_by_hand(url, target)}"
        ) from error
    except (URLError, HTTPException, TimeoutError, ConnectionError) as error:
        reason = getattr(error, "reason", None) or error or type(error).__name__
        raise DownloadError(f"{url} cannot be fetched ({reason}). {_by_hand(url, target)}") from error
    held = partial.stat().st_size
    if total is not None and held < total:
        raise DownloadError(f"{url}: the connection was cut after {held:,} of {total:,} bytes; run it again to go on")
    _require_published(url, partial, size, sha256)
    os.replace(partial, target)


def _transfer(url: str, partial: Path, timeout: float, size: int | None) -> int | None:
    """Append what is missing to the partial file; return the size of the whole, where the server tells it.

    No more is taken than shows that it is another file than the published one of this size.
    """
    held = partial.stat().st_size if partial.exists() else 0
    headers = {"Range": f"bytes={held}-"} if held else {}
    try:
        opener = urllib.request.build_opener()  # a new one, for the proxies of the environment as it is now
        response: Any = opener.open(urllib.request.Request(url, headers=headers), timeout=timeout)
    except HTTPError as error:
        if error.code != _RANGE_BEYOND_END or not held:
            raise
        if _read_range(error.headers)[1] == held:  # all had arrived
            return held
        partial.unlink()
        return _transfer(url, partial, timeout, size)
    with response:
        first, _ = _read_range(response.headers)
        if held and first not in (None, held):  # another part than was asked for
            partial.unlink()
            return _transfer(url, partial, timeout, size)
        goes_on = held > 0 and first == held
        length = response.headers.get("Content-Length", "")
        total = int(length) + (held if goes_on else 0) if length.isdecimal() else None
        shown: Any = {"unit": "B", "unit_scale": True, "desc": partial.name.removesuffix(PARTIAL)}
        bar = tqdm(total=total, initial=held if goes_on else 0, **shown)
        with partial.open("ab" if goes_on else "wb") as file, bar:
            while block := response.read(_BLOCK):
                file.write(block)
                bar.update(len(block))
                if size is not None and file.tell() > size:
                    return None
    return total


def _read_range(headers: Message) -> tuple[int | None, int | None]:
    """Return where the answer to a request for a range begins, and the size of the whole, as far as the server says."""
    found = re.fullmatch(r"bytes (?:(\d+)-\d+|\*)/(?:(\d+)|\*)", headers.get("Content-Range", ""))
    first, total = found.groups() if found else (None, None)
    return int(first) if first else None, int(total) if total else None


def _require_published(url: str, partial: Path, size: int | None, sha256: str) -> None:
    held = partial.stat().st_size
    digest = hash_file(partial)
    if (size is not None and held != size) or not digest.startswith(sha256):
        partial.unlink()
        raise DownloadError(
            f"{url} gave another file than published: {held:,} bytes, SHA-256 {digest}; published: "
            f"{f'{size:,} bytes' if size else 'no size'}, {sha256 or 'no hash'}. It was removed; a proxy's or a login "
            "page may have come in its place"
        )


def _by_hand(url: str, target: Path) -> str:
    return f"Fetch it on a machine with a network and put it at {target}"
