"""Tell the size of an LMDB of uncompressed images before it is written, and refuse it where the disk has less room."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from prismsr.data.images.raw_rows import count_raw_bytes
from prismsr.utils.errors import JobError
from prismsr.utils.image_headers import read_header
from prismsr.utils.images import ImageReadError

from tqdm import tqdm

_CHANNELS = {"1": 1, "L": 1, "I;16": 2, "LA": 4, "RGBA": 4}  # Pillow's modes -> bytes a pixel; 3 of any other
_PAGE, _PAGE_HEADER = 4096, 16  # bytes; a value takes whole pages of an LMDB


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
