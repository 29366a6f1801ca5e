"""What training needs around any dataset: global randomness from (seed, epoch, draw), and a policy for bad samples."""

import random
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple

from prismsr.data.loading.sampler import SampleIndex
from prismsr.utils.errors import DataError, TrainingError
from prismsr.utils.rng import keep_generators

import cv2
import lmdb
import numpy as np
import torch
from basicsr.utils import get_root_logger
from torch.utils.data import Dataset, default_collate

OnBad = Literal["stop", "skip"]
ATTEMPTS = 100
SHOWN = 5  # messages in an error before the rest is only counted
READ_ERRORS = (
    OSError, ValueError, TypeError, AttributeError, KeyError, IndexError, SyntaxError, cv2.error, lmdb.Error,
)  # fmt: skip
"""What datasets raise for a missing or damaged file: BasicSR's own get None from OpenCV and go on with it."""


class Loaded(NamedTuple):
    """A sample or batch, None where there is none or one is missing, and a message for each bad sample on the way."""

    data: Any
    bad: list[str]


def collate(samples: list[Loaded]) -> Loaded:
    """Put samples together; what does not fit together is a bad batch."""
    bad = [message for sample in samples for message in sample.bad]
    if any(sample.data is None for sample in samples):
        return Loaded(None, bad)
    try:
        return Loaded(default_collate([sample.data for sample in samples]), bad)
    except (RuntimeError, TypeError, KeyError, ValueError) as error:
        return Loaded(None, [*bad, f"the samples of a batch do not fit together: {_one_line(error)}"])


class GuardedDataset(Dataset):
    """A dataset whose samples depend on (seed, epoch, draw) alone, and whose errors name the sample.

    In training an item is a `Loaded`, since an exception loses its message on the way from a worker process.
    Attributes are those of the dataset (`opt`, `paths`, ...).

    Args:
        dataset: any dataset with a length, BasicSR's and others included.
        seed: the run's seed.
        on_bad: in training, what a sample that cannot be read gives: "stop" no data, "skip" another sample in its
            place, drawn by (seed, epoch, draw), and no data after 100 attempts.
        phase: "train" or another; default: what the dataset's options say, else train.

    Raises:
        DataError: outside training, a sample cannot be read.
    """

    def __init__(self, dataset: Any, seed: int, on_bad: OnBad = "stop", phase: str | None = None) -> None:
        self.dataset, self.seed, self.on_bad = dataset, seed, on_bad
        self.training = (phase or _options(dataset).get("phase", "train")) == "train"

    def __len__(self) -> int:
        return len(self.dataset)

    def __getattr__(self, name: str) -> Any:
        if name == "dataset" or name.startswith("__"):  # asked for while being unpickled
            raise AttributeError(name)
        return getattr(self.dataset, name)

    def __getitem__(self, index: int) -> Any:
        if not self.training:
            return self._read(index, 0)
        bad: list[str] = []
        for attempt in range(ATTEMPTS if self.on_bad == "skip" else 1):
            try:
                return Loaded(self._read(self._candidate(index, attempt), attempt), bad)
            except DataError as error:
                bad.append(str(error))
        return Loaded(None, bad)

    def _candidate(self, index: int, attempt: int) -> int:
        """Return the index itself, then replacements of the same epoch and draw."""
        if attempt == 0:
            return index
        epoch, draw = (index.epoch, index.draw) if isinstance(index, SampleIndex) else (0, index)
        rng = np.random.default_rng([self.seed, epoch, draw, attempt])
        return SampleIndex(int(rng.integers(len(self))), epoch, draw)

    def _read(self, index: int, attempt: int) -> Any:
        try:
            if not isinstance(index, SampleIndex):
                return self.dataset[index]
            with seed_generators(self.seed, index.epoch, index.draw, attempt):
                return self.dataset[index]
        except READ_ERRORS as error:
            raise DataError(self._describe(index, error)) from error

    def _describe(self, index: int, error: Exception) -> str:
        name = _options(self.dataset).get("name")
        title = f"{name} ({type(self.dataset).__name__})" if name else type(self.dataset).__name__
        if isinstance(error, DataError):  # names the file itself
            return f"{title}, item {int(index)}: {error}"
        paths = _paths(self.dataset, index)
        at = traceback.extract_tb(error.__traceback__)[-1]
        cause = f"{type(error).__name__}: {_one_line(error)} ({at.filename}:{at.lineno})"
        return f"{title}, item {int(index)}{paths and f' ({paths})'}: {cause}"


def _options(dataset: Any) -> dict[str, Any]:
    """Return the dataset's options as BasicSR's datasets keep them; empty where it has none of that kind."""
    options = getattr(dataset, "opt", None)
    return options if isinstance(options, dict) else {}


def _paths(dataset: Any, index: int) -> str:
    """Return the files of an item, where the dataset has BasicSR's attribute `paths`; else nothing."""
    try:
        paths = dataset.paths[index]
    except READ_ERRORS:
        return ""
    if isinstance(paths, dict):
        return ", ".join(f"{name} {path}" for name, path in paths.items())
    return str(paths)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


@contextmanager
def seed_generators(*numbers: int) -> Iterator[None]:
    """Seed python's, numpy's and torch's (CPU) global generators by these numbers; restore them at the end."""
    words = np.random.SeedSequence(numbers).generate_state(8)
    with keep_generators():
        random.seed(int(words[0]) << 32 | int(words[1]))
        np.random.seed(words[2:6])
        # not torch.manual_seed, which seeds the CUDA devices too
        torch.default_generator.manual_seed(int(words[6]) << 31 | int(words[7]) >> 1)
        yield


class BadSamples:
    """The bad samples that a training has met, each counted once.

    `on_bad` is the dataset's `on_bad_sample`; "skip" allows so many different ones.
    """

    def __init__(self, on_bad: OnBad = "stop", max_bad_samples: int = 100) -> None:
        self.on_bad, self.max_bad_samples = on_bad, max_bad_samples
        self.messages: dict[str, None] = {}  # in the order in which they were met

    def take(self, bad: list[str]) -> None:
        """Log the messages that are new.

        Raises:
            DataError: there are messages, and the policy is "stop".
            TrainingError: more different ones than `max_bad_samples`.
        """
        if bad and self.on_bad == "stop":
            raise DataError(
                f"{_list_messages(list(dict.fromkeys(bad)))}\n(on_bad_sample: skip in the training dataset's section "
                "of the option file goes on with other samples)"
            )
        for message in bad:
            if message not in self.messages:
                self.messages[message] = None
                get_root_logger().warning(f"Bad sample, replaced by another: {message}")
        if len(self.messages) > self.max_bad_samples:
            raise TrainingError(
                f"{len(self.messages)} different samples of the training dataset cannot be read, more than its "
                f"max_bad_samples: {self.max_bad_samples}. The first:\n{_list_messages(list(self.messages))}"
            )

    def unwrap(self, batch: Loaded) -> Any:
        """Return the batch's data, after `take`; DataError also where there are none, since no sample could be read."""
        self.take(batch.bad)
        if batch.data is None:
            raise DataError(f"no batch could be made:\n{_list_messages(batch.bad)}")
        return batch.data

    def state(self) -> list[str]:
        """Return the messages so far, for a checkpoint."""
        return list(self.messages)

    def load_state(self, messages: list[str]) -> None:
        """Go on from what `state` returned."""
        self.messages = dict.fromkeys(messages)


def _list_messages(messages: list[str]) -> str:
    more = [f"and {len(messages) - SHOWN} more"] if len(messages) > SHOWN else []
    return "\n".join(messages[:SHOWN] + more)
