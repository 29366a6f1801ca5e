"""Checkpoint files: written beside and renamed, listed, checked by their SHA-256, pruned."""

import hashlib
import os
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from prismsr.utils.errors import TrainingError
from prismsr.utils.files import TEMPORARY_SUFFIX, hash_file
from prismsr.utils.weights.files import WeightsError, read_file

import torch
from safetensors.torch import save
from torch import Tensor

OURS = "prismsr"
"""Key of a training state that holds what BasicSR's does not have."""


class CheckpointError(TrainingError):
    """A checkpoint cannot be written; what was there before is untouched."""


# --------------------------------------------------------------------------------------------------- writing


class _Recorder:
    """A file that hashes what it is given, and remembers why writing failed: torch.save tells of a wrong position."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.error: OSError | None = None
        self.digest = hashlib.sha256()

    def write(self, data: Any) -> int:
        self.digest.update(data)
        try:
            return self.file.write(data)
        except OSError as error:
            self.error = error
            raise

    def flush(self) -> None:
        self.file.flush()


def _write(path: Path, write: Callable[[Any], object], before_rename: Callable[[str], object] = str) -> str:
    """Write a file under a hidden name, let it reach the disk, then rename it: `path` is old or new, never half.

    Returns its SHA-256, which `before_rename` is told as well.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}{TEMPORARY_SUFFIX}")
    recorder: _Recorder | None = None
    try:
        with open(temporary, "wb") as file:
            recorder = _Recorder(file)
            write(recorder)
            file.flush()
            os.fsync(file.fileno())  # else a power cut may leave the new name with no content
        before_rename(recorder.digest.hexdigest())
        os.replace(temporary, path)
        _sync_folder(path.parent)
        return recorder.digest.hexdigest()
    except (OSError, RuntimeError) as error:
        cause = (recorder.error if recorder else None) or error
        raise CheckpointError(_cannot_write(path, cause)) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    with suppress(OSError):  # not every file system lets a folder be opened
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


def _cannot_write(path: Path, cause: Exception) -> str:
    reason = cause.strerror if isinstance(cause, OSError) and cause.strerror else str(cause).splitlines()[0]
    return (
        f"{path} cannot be written ({reason}). The run stops here; the checkpoints from before are whole. "
        "Make room on that disk (logger.keep_checkpoints limits how many are kept), then go on with --auto_resume."
    )


def save_file(path: Path, content: Any) -> str:
    """Save by torch.save, so that `path` is never half a file; return its SHA-256. CheckpointError where it fails."""
    return _write(path, lambda file: torch.save(content, file))


def save_state(path: Path, content: Any) -> None:
    """Save a training state as `save_file` does, and its SHA-256 beside it, for `sha256sum --check`.

    The hash comes first. A kill between the two leaves a hash without its state, or beside one of the same iteration
    that was to be replaced and then counts as damaged: its networks are replaced already.
    """

    def write_hash(digest: str) -> None:
        _write(hash_beside(path), lambda file: file.write(f"{digest}  {path.name}\n".encode()))

    _write(path, lambda file: torch.save(content, file), write_hash)


def save_safetensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write a safetensors file in the same way, of a flat mapping of tensors and text about them.

    The format knows no shared memory: a weight with two names is written twice.
    """
    names = {tensor.data_ptr(): name for name, tensor in tensors.items()}
    own = {k: v.contiguous() if names[v.data_ptr()] == k else v.clone() for k, v in tensors.items()}
    _write(path, lambda file: file.write(save(own, metadata)))


# --------------------------------------------------------------------------------------------------- reading


def states(folder: Path) -> list[Path]:
    """Return the training states `ITERATION.state` of a folder, newest first."""
    found = [path for path in folder.glob("*.state") if path.stem.isdigit()]
    return sorted(found, key=lambda path: int(path.stem), reverse=True)


def rank_file(state: Path, rank: int) -> Path:
    """Return where the process `rank` of several keeps its own part of a training state."""
    return state.with_suffix(f".rank{rank}")


def hash_beside(state: Path) -> Path:
    """Return where the SHA-256 of a training state is."""
    return state.with_name(f"{state.name}.sha256")


def read_state(path: Path, models: Path) -> dict[str, Any]:
    """Read a training state, BasicSR's too, and make sure that it is whole: its own file, and those it was saved with.

    Files are compared with the SHA-256 that they were saved with. Older states have none: their files are read, and
    checked by the sums in them. `models` is the folder of the networks.

    Raises:
        WeightsError: the state or a file that belongs to it is damaged, missing, or something else.
    """
    try:
        return _read_whole(path, models)
    except WeightsError:
        raise
    except Exception as error:  # whatever goes wrong while it is read, another one may be whole
        raise WeightsError(f"{path} is damaged ({type(error).__name__}: {error}).") from error


def _read_whole(path: Path, models: Path) -> dict[str, Any]:
    if hash_beside(path).is_file():
        _require_hash(path, hash_beside(path).read_bytes().partition(b" ")[0].decode("ascii", "replace"))
    state = read_file(path)
    needed = {"epoch", "iter", "optimizers", "schedulers"}
    if not isinstance(state, dict) or not needed <= state.keys():
        raise WeightsError(f"{path} is no training state (one holds {', '.join(sorted(needed))}).")
    ours = state.get(OURS, {})
    for name, known in ours.get("networks", {}).items():
        _require_whole(models / name, known)
    for rank in range(1, ours.get("world_size", 1)):
        _require_whole(rank_file(path, rank), ours.get("ranks", {}).get(rank))
    return state


def _require_whole(path: Path, known: str | int | None) -> None:
    """Check a file by what its state knows of it: SHA-256; in older states the size of a network, nothing of a rank."""
    if isinstance(known, str):
        return _require_hash(path, known)
    if known is not None and path.is_file() and path.stat().st_size != known:
        raise WeightsError(f"{path} has {path.stat().st_size} bytes instead of the {known} that were written.")
    read_file(path)


def _require_hash(path: Path, known: str) -> None:
    if not path.is_file():
        raise WeightsError(f"No file at {path}.")
    if hash_file(path) != known:
        raise WeightsError(f"{path} is damaged: its SHA-256 is not the one that was saved with it.")


def newest_valid(folder: Path, models: Path, tell: Callable[[str], object]) -> tuple[Path, dict[str, Any]] | None:
    """Return the newest training state that is whole, or None where the folder has no state at all.

    Networks are in `models`. `tell` is called with a sentence for each file that is passed over.

    Raises:
        WeightsError: there are states, and none of them is whole.
    """
    for path in sorted(path for path in folder.glob("*.state") if not path.stem.isdigit()):
        tell(f"Passing over {path}: a training state is called by its iteration.")
    reasons = []
    for path in states(folder):
        try:
            return path, read_state(path, models)
        except WeightsError as error:
            reasons.append(str(error))
            tell(f"Passing over the state of iteration {path.stem}: {error}")
    if reasons:
        raise WeightsError(
            f"No training state in {folder} can be used: {' '.join(reasons)} Nothing was changed. Restore one of them, "
            "or start without --auto_resume: the folder is then kept under another name."
        )
    return None


# --------------------------------------------------------------------------------------------------- pruning


def prune(folder: Path, models: Path, keep: int) -> None:
    """Remove all but the newest `keep` training states, and the networks saved with those removed."""
    for state in states(folder)[keep:]:
        state.unlink(missing_ok=True)  # first: a state on disk means that what belongs to it is there
        pattern = re.compile(rf"net_.+_{state.stem}\.(pth|safetensors)")
        networks = [path for path in models.glob("net_*") if pattern.fullmatch(path.name)]
        for path in [*networks, hash_beside(state), *folder.glob(f"{state.stem}.rank*")]:
            path.unlink(missing_ok=True)
