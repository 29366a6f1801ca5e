"""What has to agree between MultiGTDataset, the sections `scoring` and `degradation`, and the loss terms."""

from collections.abc import Iterator, Mapping
from typing import Any

from prismsr.utils.options.entries import find_registered
from prismsr.utils.options.problems import Problem
from prismsr.utils.options.schema import TrainOptions

DATASET = "MultiGTDataset"
SCORED = ("sma", "smp", "amo")
NEGATIVES = frozenset(("gt_negative", "negative_map"))


def multi_gt(opt: Mapping[str, Any], is_train: bool, schema: type[TrainOptions] | None) -> Iterator[Problem]:
    """The model makes LQ images and scores crops where the dataset leaves it to it; negatives are given and used."""
    if not is_train or schema is None:
        return
    dataset = _mapping(_mapping(opt.get("datasets")).get("train"))
    if dataset.get("type") != DATASET:
        dataset = {}
    elif "degradation" not in schema.TOP.model_fields:
        yield Problem(
            "model_type", f"must be a model with the section degradation, which makes LQ images of {DATASET}'s"
        )
    yield from _scoring(opt, dataset)
    yield from _negatives(opt, dataset)


def _scoring(opt: Mapping[str, Any], dataset: Mapping[str, Any]) -> Iterator[Problem]:
    rule = dataset.get("sampling")
    online = rule in SCORED and dataset.get("scores") is None
    if online and opt.get("scoring") is None:
        text = f"is required, since datasets.train.sampling is {rule} and there is no score file (scores)"
        yield Problem("scoring", f"{text}; scoring: {{metric: musiq}} is the paper's")
    elif not online and opt.get("scoring") is not None:
        yield Problem("scoring", "scores no crop: datasets.train chooses its versions without it", "note")


def _negatives(opt: Mapping[str, Any], dataset: Mapping[str, Any]) -> Iterator[Problem]:
    losses = _mapping(_mapping(opt.get("train")).get("losses")).values()
    found = [find_registered("loss", str(_mapping(entry).get("type"))) for entry in losses]
    used = any(not NEGATIVES.isdisjoint(getattr(loss, "inputs", ())) for loss in found)
    if dataset.get("negatives") is True and not used:
        yield Problem("datasets.train.negatives", "no loss uses them (NegativeLoss does)", "note")


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
