"""What has to agree between the section `clip`, the discriminators of its features, and the loss terms."""

from collections.abc import Iterator, Mapping
from typing import Any

from prismsr.utils.options.entries import find_registered
from prismsr.utils.options.problems import Problem, join
from prismsr.utils.options.schema import TrainOptions
from prismsr.utils.options.signatures import check_arguments


def clip(opt: Mapping[str, Any], is_train: bool, schema: type[TrainOptions] | None) -> Iterator[Problem]:
    """The section's arguments are Clip's; who wants features gets them, and only who wants them."""
    if not is_train or schema is None or "clip" not in schema.TOP.model_fields:
        return
    section = opt.get("clip")
    if isinstance(section, dict):
        yield from check_arguments(find_registered("arch", "Clip"), section, "clip")
    train = opt.get("train")
    losses = train.get("losses") if isinstance(train, dict) else None
    for name, entry in losses.items() if isinstance(losses, dict) else ():
        if isinstance(entry, dict) and entry.get("type") == "AdversarialLoss":
            yield from _term(opt, join("train.losses", name), entry, section)


def _term(opt: Mapping[str, Any], key: str, entry: Mapping[str, Any], section: Any) -> Iterator[Problem]:
    network = f"network_{entry.get('discriminator', 'd')}"
    arch = opt.get(network)
    kind = str(arch.get("type")) if isinstance(arch, dict) else ""
    of_features = hasattr(find_registered("arch", kind), "features")
    if of_features and entry.get("features") is None:
        yield Problem(join(key, "features"), f"must be clip: {network} is a {kind}, which judges CLIP's features")
    if kind and not of_features and entry.get("features") is not None:
        yield Problem(join(key, "features"), f"must not be given: {network} is a {kind}, which judges images")
    if entry.get("features") is not None and section is None:
        yield Problem(
            "clip", f"is required, since {key} uses its features; clip: {{pretrained: openai}} is the paper's"
        )
    if entry.get("features") is not None and entry.get("gt") == "gt_usm":
        yield Problem(join(key, "gt"), "must be gt: features are computed of the plain GT image")
