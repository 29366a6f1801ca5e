"""Pack folders of images into an LMDB that BasicSR reads, with a manifest of sizes and checksums."""

import argparse
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from prismsr.data.images.raw_rows import RAW_CHANNELS, count_raw_bytes, encode_raw
from prismsr.data.images.source import encode_key
from prismsr.data.prepare.common import add_run_arguments, claim_folder, find_inputs, name_input
from prismsr.data.prepare.lmdb_store import INITIAL_MAP_SIZE, LmdbStore, clear_traces, publish
from prismsr.utils.command_line import print_list, whole_number
from prismsr.utils.errors import JobError, OptionError
from prismsr.utils.image_headers import read_header
from prismsr.utils.images import ImageReadError, encode_png, read_image
from prismsr.utils.processes import run_jobs
from prismsr.utils.run_record import PREPARED, read_record, remove_recorded

import numpy as np
from tqdm import tqdm

KEY_BYTES = 511  # the longest key of LMDB
_CHANNELS = {"1": 1, "L": 1, "I;16": 2, "LA": 4, "RGBA": 4}  # Pillow's modes -> bytes a pixel; 3 of any other
_PAGE, _PAGE_HEADER = 4096, 16  # bytes; a value takes whole pages of an LMDB


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line of the step."""
    parser.add_argument(
        "-i", "--input", type=Path, nargs="+", required=True, help="folders of images, with their subfolders"
    )
    add_run_arguments(parser)
    parser.add_argument(
        "--prefix",
        nargs="+",
        help="with several folders: what to put before the keys of each, a name per folder "
        "(default: the part of its path in which it differs from the others)",
    )
    parser.add_argument(
        "--compress-level",
        type=int,
        choices=range(10),
        default=1,
        metavar="0..9",
        help="PNG level (default: %(default)s)",
    )
    parser.add_argument(
        "--store",
        choices=("png", "raw"),
        default="png",
        help="raw leaves images of 8 bits uncompressed: larger, and a crop reads its rows only (default: %(default)s)",
    )
    parser.add_argument(
        "--map-size",
        type=whole_number(1 << 14),
        default=INITIAL_MAP_SIZE,
        help="size in bytes of LMDB's map at first; it grows as needed (default: %(default)s)",
    )


def run(args: argparse.Namespace) -> int:
    """Build OUTPUT.partial, and rename it to OUTPUT once it is complete."""
    if args.output.suffix != ".lmdb":
        raise OptionError(f"-o {args.output}: the name has to end in .lmdb, by which BasicSR knows an LMDB")
    parameters = {
        "command": "lmdb",
        "input": [name_input(folder, args.output) for folder in args.input],
        "prefix": args.prefix,
        "compress_level": args.compress_level,
        "overwrite": args.overwrite,
    } | ({"store": args.store} if args.store != "png" else {})  # an older record has none
    if read_record(args.output / PREPARED) == parameters:
        clear_traces(args.output)
        print(f"lmdb: {args.output} was complete; what the run that was killed then had left is removed")
        return 0
    if args.output.exists() and not args.overwrite:
        raise OptionError(f"{args.output} exists; add --overwrite to replace it once the new one is complete")
    building = args.output.with_name(f"{args.output.name}.partial")
    images = collect(args.input, args.prefix, args.output)
    if args.overwrite and read_record(building / PREPARED) not in (None, parameters):
        remove_recorded(building)  # begun for another purpose; an interrupted --overwrite of this kind is continued
    if args.store == "raw":
        require_room(list(images.values()), building, args.output)
    claim_folder(building, parameters, overwrite=False)
    with LmdbStore(building, images, args.map_size) as store:
        count, skipped = fill(store, images, args)
    if not store.entries:
        raise JobError("\n  ".join([f"{args.output} would be empty, none of the images can be used:", *skipped]))
    publish(building, store.entries, args.output, args.store, args.compress_level)
    print(f"lmdb: {len(store.entries)} images in {args.output}, {count} stored by this run, {len(skipped)} skipped")
    print_list(skipped)
    return 0


def fill(store: LmdbStore, images: dict[str, Path], args: argparse.Namespace) -> tuple[int, list[str]]:
    """Store the images that are not stored yet; the number of these, and the messages of the skipped ones."""
    jobs: list[tuple[Any, ...]] = [(path, key) for key, path in images.items() if key not in store.entries]
    skipped = run_jobs(
        partial(encode, store=args.store, compress_level=args.compress_level),
        jobs,
        workers=args.workers,
        on_error=args.on_error,
        label="lmdb",
        consume=lambda stored: store.add(*stored),
    )
    return len(jobs) - len(skipped), skipped


def encode(path: Path, key: str, store: str, compress_level: int) -> tuple[str, bytes, tuple[int, int, int]]:
    """Return key, value and (h, w, c) of an image; depth, grey and alpha are kept, if need be by PNG."""
    image = read_image(path)
    height, width, channels = image.shape if image.ndim == 3 else (*image.shape, 1)
    raw = store == "raw" and image.dtype == np.uint8 and channels in RAW_CHANNELS
    return key, encode_raw(image) if raw else encode_png(image, compress_level), (height, width, channels)


def collect(folders: list[Path], prefixes: list[str] | None, output: Path) -> dict[str, Path]:
    """Return the images of all folders, by LMDB key.

    Raises:
        OptionError: a folder lies in another, prefixes do not fit the folders, two images have the same key, or one is
            too long.
    """
    sources = [find_inputs(folder, output) for folder in folders]
    if len(folders) == 1 and not prefixes:
        before = [""]
    else:
        before = [f"{prefix}/" if prefix else "" for prefix in prefixes or distinguishing_parts(folders)]
        if len(before) != len(folders):
            raise OptionError(f"--prefix: got {len(before)} for {len(folders)} folders; give one per folder")
        for folder, prefix in zip(folders, before, strict=True):
            print(f"lmdb: keys of {folder} begin with {prefix}")
    images: dict[str, Path] = {}
    for paths, prefix in zip(sources, before, strict=True):
        for key, path in paths.items():
            _add(images, encode_key(prefix + key), path)
    return images


def _add(images: dict[str, Path], key: str, path: Path) -> None:
    if key in images:
        raise OptionError(f"{images[key]} and {path} have the same key {key!r}; give each folder its own --prefix")
    if len(key) > KEY_BYTES:
        raise OptionError(f"{path}: its key has {len(key)} bytes, {KEY_BYTES} are allowed; shorten the name")
    images[key] = path


def distinguishing_parts(folders: list[Path]) -> list[str]:
    """Return paths of the folders without the leading and trailing parts that all share.

    Both ends are cut so that DIV2K/HR, Flickr2K/HR and DIV2K/LR, Flickr2K/LR give the same names and the sets pair up.
    OptionError where a folder is given twice or lies in another.
    """
    parts = [list(folder.resolve().parts) for folder in folders]
    for folder, own in zip(folders, parts, strict=True):
        if sum(other == own[: len(other)] for other in parts) > 1:
            raise OptionError(f"-i {folder} is given twice or lies in another of the folders; give each image once")
    for end in (0, -1):
        while all(len(own) > 1 for own in parts) and len({own[end] for own in parts}) == 1:
            parts = [own[1:] if end == 0 else own[:-1] for own in parts]
    return ["/".join(own) for own in parts]


def require_room(paths: Sequence[Path], building: Path, output: Path) -> None:
    """Print what the images take uncompressed; JobError where the disk has less room.

    What an interrupted run has stored in `building` is room that is taken already; `output` is for the messages.
    """
    size = sum(map(count_stored_bytes, tqdm(paths, desc="sizes", unit="image")))
    data = building / "data.mdb"
    missing = size - (data.stat().st_size if data.exists() else 0)
    parent = next(folder for folder in building.absolute().parents if folder.exists())
    free = shutil.disk_usage(parent).free
    text = f"{output}: {len(paths)} images take {size / 1e9:.2f} GB uncompressed; {free / 1e9:.2f} GB are free"
    if missing > free:
        raise JobError(f"{text} on the disk of {parent}; make room, choose another disk with -o, or --store png")
    print(f"lmdb: {text}", flush=True)


def count_stored_bytes(path: Path) -> int:
    """Return the bytes of an image in an LMDB of --store raw, from its header.

    Of an image that is stored as PNG it is an estimate. One that cannot be read counts 0; the step names it later.
    """
    try:
        header = read_header(path, str(path))
    except ImageReadError:
        return 0
    value = count_raw_bytes(*header.upright_size, _CHANNELS.get(header.mode, 3))
    return -(-(value + _PAGE_HEADER) // _PAGE) * _PAGE
