"""The scores of images: those that an earlier run kept, and those that are made now."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from prismsr.metrics.images import Align
from prismsr.metrics.score_store import Key, ScoreStore, read_file_state
from prismsr.tools.evaluation.columns import Scorer
from prismsr.tools.evaluation.matching import Item
from prismsr.tools.evaluation.scoring import Outcome, Unit, run_networks, run_pixels, split_batches
from prismsr.utils.errors import DataError
from prismsr.utils.processes import OnError


class ImageScores:
    """The scores of one call: `values`, every score that there is, and `failed`, what went wrong by image.

    Metrics of sets are left out. For `align` see `metrics.images.read_pair`. `refuse` is called with the message of
    each failure, in place of noting it.
    """

    def __init__(
        self,
        items: Sequence[Item],
        scorers: Sequence[Scorer],
        store: ScoreStore,
        align: Align = "equal",
        refuse: Callable[[str], object] | None = None,
    ) -> None:
        self.items, self.store, self.align, self.refuse = items, store, align, refuse
        self.scorers = [scorer for scorer in scorers if scorer.spec.known.reference != "set"]
        self.keys = {unit: key for item in items for unit, key in self._make_keys(item)}
        known = store.read()
        self.values = {unit: known[key] for unit, key in self.keys.items() if key in known}
        self.failed: dict[str, list[str]] = {}

    def make(self, sizes: Mapping[str, tuple[int, int]], workers: int, devices: Sequence[str], batch: int) -> None:
        """Make the scores that are missing by `workers` processes and a process on each device; keep each as it is
        made.

        Args:
            sizes: (height, width) by name; images of equal size are scored `batch` at once, one without a size alone.

        Raises:
            JobError: a process died. UserError: a metric lacks something, or the device's memory is too small.
        """
        pixels = [scorer for scorer in self.scorers if scorer.spec.known.pixels]
        if jobs := self._find_jobs(pixels):
            run_pixels(jobs, {one.column: one.spec for one in pixels}, self.align, workers, self._keep)
        networks = [scorer for scorer in self.scorers if not scorer.spec.known.pixels]
        run_networks(split_batches(self._find_jobs(networks), sizes, batch), networks, self.align, devices, self._keep)

    def drop_changed(self) -> None:
        """Leave out images of which a file was replaced meanwhile; their lines in the store fit no file any more."""
        for item in self.items:
            for unit in [unit for unit, key in self._make_keys(item) if key != self.keys[unit]]:
                self.values.pop(unit, None)
                self.failed[item.name] = [f"{item.name}: a file changed while it was evaluated; run it again"]

    def collect(self, scorer: Scorer) -> dict[str, list[float]]:
        """Return the scores against all references of an image, by name, of images that have all of them."""
        found = {}
        for item in self.items:
            units = [Unit(item.name, index, scorer.column) for index in list_references(scorer, item)]
            if all(unit in self.values for unit in units):
                found[item.name] = [self.values[unit] for unit in units]
        return found

    def _make_keys(self, item: Item) -> Iterator[tuple[Unit, Key]]:
        """Yield all scores that an image is to have, each with what stands before it in the store."""
        own = read_file_state(item.sr)
        others = [read_file_state(path) for path in item.references]
        for scorer in self.scorers:
            for index in list_references(scorer, item):
                files, reference = own, ""
                if index >= 0:
                    files, reference = f"{own} {others[index]} {self.align}", str(item.references[index].name)
                yield Unit(item.name, index, scorer.column), (item.name, reference, files, scorer.key)

    def _find_jobs(self, scorers: Sequence[Scorer]) -> list[tuple[Item, tuple[Unit, ...]]]:
        """Return the images with scores that are still to be made."""
        found = []
        for item in self.items:
            units = [Unit(item.name, index, one.column) for one in scorers for index in list_references(one, item)]
            if wanted := tuple(unit for unit in units if unit not in self.values):
                found.append((item, wanted))
        return found

    def _keep(self, outcome: Outcome) -> None:
        """Write scores down and note failures."""
        self.values.update(outcome.values)
        self.store.append((self.keys[unit], value) for unit, value in outcome.values.items())
        for name, messages in outcome.failures.items():
            told = self.failed.setdefault(name, [])
            told += [message for message in messages if message not in told]
            if self.refuse is not None:
                self.refuse(messages[0])


def list_references(scorer: Scorer, item: Item) -> range:
    """Return the indices of the references that a metric is computed against; -1 alone where it needs none."""
    return range(len(item.references)) if scorer.spec.known.reference == "full" else range(-1, 0)


def score_images(
    images: Mapping[str, Path], scorer: Scorer, path: Path, *, workers: int, device: str, on_error: OnError
) -> tuple[dict[str, float], list[str]]:
    """Score images by a no-reference metric, one at a time; what an earlier run kept in the store `path` is not made
    again.

    Args:
        images: files by name.
        workers, device: processes for a metric without a network, or the network's device.
        on_error: whether an image without a score ends the run, or is left out.

    Returns:
        Scores by name, in the order of the images, and messages of those that have none.

    Raises:
        DataError: an image has no score and `on_error` is "stop". JobError, UserError: see `ImageScores.make`.
    """

    def refuse(message: str) -> None:
        raise DataError(message)

    items = [Item(name, name, file) for name, file in images.items()]
    scores = ImageScores(items, [scorer], ScoreStore(path), refuse=refuse if on_error == "stop" else None)
    kept, name = len(scores.values), scorer.spec.known.name
    print(f"{name}, {len(items)} images: {kept} scores from {path}, {len(items) - kept} to make", file=sys.stderr)
    scores.make({}, workers, [device], batch=1)
    found = {name: values[0] for name, values in scores.collect(scorer).items()}
    return found, [message for messages in scores.failed.values() for message in messages]
