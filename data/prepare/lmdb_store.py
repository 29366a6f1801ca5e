"""Write an LMDB of images that can be interrupted at any moment and continued later."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from prismsr.data.images.source import MANIFEST, META_INFO, close_lmdb
from prismsr.utils.files import atomic_write
from prismsr.utils.run_record import PREPARED

import lmdb
from tqdm import tqdm

JOURNAL = ".journal.jsonl"
INITIAL_MAP_SIZE = 1 << 30  # bytes; doubled whenever it is full
COMMIT_BYTES = 64 << 20


@dataclass(frozen=True)
class Entry:
    """What the manifest says of a stored image: bytes of the value, (h, w, c), and the value's SHA-256 in hex."""

    bytes: int
    shape: tuple[int, int, int]
    sha256: str


def hash_value(value: bytes) -> str:
    """Return SHA-256 of a value, in hex."""
    return hashlib.sha256(value).hexdigest()


class LmdbStore:
    """An LMDB under construction, in a folder of its own, with a journal of what is stored.

    Values are committed in batches, and journalled after their commit. Whoever opens the folder again keeps the values
    whose bytes agree with the journal. It is a context manager: leaving it, by an error as well, commits what waits.

    Args:
        folder: the LMDB's folder, e.g. X.lmdb.partial.
        wanted: keys that may stay; others, of an earlier run, are removed. Then `entries` is what is stored, by key.
        map_size: size in bytes of the LMDB's map at first.
    """

    def __init__(self, folder: Path, wanted: Collection[str], map_size: int = INITIAL_MAP_SIZE) -> None:
        self.folder = folder
        self.env = lmdb.open(str(folder), map_size=map_size)
        self.waiting: dict[str, tuple[bytes, Entry]] = {}
        self.waiting_bytes = 0
        self.entries = self._keep_valid(set(wanted))

    def __enter__(self) -> "LmdbStore":
        return self

    def __exit__(self, *error: object) -> None:
        try:
            self.commit()
        finally:
            self.env.close()

    def _keep_valid(self, wanted: set[str]) -> dict[str, Entry]:
        """Return the entries whose values are stored unharmed; removes all other values."""
        journal = self.folder / JOURNAL
        found = _read_journal(journal) if journal.exists() else {}
        kept = {}
        with self.env.begin() as transaction:
            stored = [bytes(key).decode("ascii") for key in transaction.cursor().iternext(values=False)]
            for key in tqdm(stored, desc="check", unit="image", disable=not stored):
                entry = found.get(key)
                if entry and key in wanted and hash_value(transaction.get(key.encode("ascii"), b"")) == entry.sha256:
                    kept[key] = entry
        removed = [key.encode("ascii") for key in stored if key not in kept]
        self._write(lambda transaction: [transaction.delete(key) for key in removed])
        atomic_write(journal, _journal_lines(kept))
        return kept

    def _write(self, change: Callable[[Any], object]) -> None:
        """Make a change in one transaction; where the map is full it is undone, and made again in a larger map."""
        while True:
            try:
                with self.env.begin(write=True) as transaction:
                    change(transaction)
                return
            except lmdb.MapFullError:
                self.env.set_mapsize(2 * self.env.info()["map_size"])

    def add(self, key: str, value: bytes, shape: tuple[int, int, int]) -> None:
        """Store a value under an ASCII key; it is on disk after the next commit."""
        self.waiting[key] = value, Entry(len(value), shape, hash_value(value))
        self.waiting_bytes += len(value)
        if self.waiting_bytes >= COMMIT_BYTES:
            self.commit()

    def commit(self) -> None:
        """Write what waits, and then the journal."""
        values = {key.encode("ascii"): value for key, (value, _) in self.waiting.items()}
        entries = {key: entry for key, (_, entry) in self.waiting.items()}
        self._write(lambda transaction: [transaction.put(key, value) for key, value in values.items()])
        with (self.folder / JOURNAL).open("ab") as journal:
            journal.write(_journal_lines(entries))
        self.entries.update(entries)
        self.waiting.clear()
        self.waiting_bytes = 0


def publish(folder: Path, entries: dict[str, Entry], final: Path, store: str, compress_level: int) -> None:
    """Complete a closed LMDB with meta_info.txt and manifest.json, and rename it; an LMDB of that name is replaced.

    `store`, "png" or "raw", and the PNG level of the values are for the record.
    """
    entries = {key: entries[key] for key in sorted(entries)}
    shapes = {key: ",".join(map(str, entry.shape)) for key, entry in entries.items()}
    suffix = ".png" if store == "png" else ".bmp"  # BasicSR cuts it off
    meta_info = "".join(f"{key}{suffix} ({shape}) {compress_level}\n" for key, shape in shapes.items())
    images = {key: asdict(entry) for key, entry in entries.items()}
    manifest = {"format": 1, "store": store, "compress_level": compress_level, "images": images}
    atomic_write(folder / META_INFO, meta_info.encode("ascii"))
    atomic_write(folder / MANIFEST, json.dumps(manifest, indent=1).encode("ascii"))
    if final.exists():
        close_lmdb(final)
        shutil.rmtree(_replaced(final), ignore_errors=True)  # of a run that was killed; else it is the last whole one
        os.replace(final, _replaced(final))
    os.replace(folder, final)
    clear_traces(final)


def clear_traces(final: Path) -> None:
    """Remove what a finished LMDB no longer needs; the record goes last and says until then that this is to be done."""
    shutil.rmtree(_replaced(final), ignore_errors=True)
    for name in (JOURNAL, PREPARED):
        (final / name).unlink(missing_ok=True)


def _replaced(final: Path) -> Path:
    return final.with_name(f"{final.name}.replaced")


def _journal_lines(entries: dict[str, Entry]) -> bytes:
    return "".join(json.dumps({"key": key, **asdict(entry)}) + "\n" for key, entry in entries.items()).encode("ascii")


def _read_journal(journal: Path) -> dict[str, Entry]:
    entries = {}
    for line in journal.read_text(encoding="ascii", errors="replace").splitlines():
        try:
            fields = json.loads(line)
            height, width, channels = fields["shape"]
            entries[fields["key"]] = Entry(fields["bytes"], (height, width, channels), fields["sha256"])
        except (ValueError, KeyError):
            continue  # the line that a killed run was writing; its image is made again
    return entries
