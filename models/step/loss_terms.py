"""The loss terms of one training step: what an option file lists under `train.losses`."""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

from prismsr.utils.errors import UserError

from basicsr.losses import build_loss
from torch import Tensor, nn

DEFAULT_INPUTS = ("sr", "gt")


class StepInputs:
    """What the step can hand to a loss term, by name; a callable entry gets this object and is computed when asked for.

    Names a term may declare in its class attribute `inputs`: "sr" (output of net_g), "gt", "gt_usm" (None
    without degradation.gt_usm), "lq", "gt_mask" (None where the dataset has no mask), "sr_ema" (output of the EMA
    network, no gradient), "discriminators", with the section `clip` "sr_clip" and "gt_clip" (CLIP's features), and
    with datasets.train.negatives "gt_negative" and "negative_map" (UserError without).
    """

    def __init__(self, **entries: Any) -> None:
        self._entries: dict[str, Any] = entries

    def __getitem__(self, name: str) -> Any:
        """Return the entry, computing and keeping a lazy one; KeyError tells what there is."""
        if name not in self._entries:
            raise KeyError(f"A loss term asks for {name!r}; the step has: {', '.join(sorted(self._entries))}.")
        value = self._entries[name]
        if callable(value) and not isinstance(value, nn.Module):
            value = self._entries[name] = value(self)
        return value

    def without_graph(self, sr: Tensor) -> "StepInputs":
        """The same for the discriminators: `sr` in its place, and what was computed before cut off from its graph."""
        kept = {name: value.detach() if hasattr(value, "detach") else value for name, value in self._entries.items()}
        return StepInputs(**{**kept, "sr": sr})


def negative_entries(gt_negative: Tensor | None, negative_map: Tensor | None) -> dict[str, Any]:
    """Entries of StepInputs for the negative ground truths; where there are none, asking for one raises UserError."""

    def lacking(_: StepInputs) -> Tensor:
        raise UserError(
            "A loss term asks for negative ground truths (gt_negative, negative_map), and the batch has none: they "
            "need a dataset of type MultiGTDataset with negatives: true, and the section degradation."
        )

    given = {"gt_negative": gt_negative, "negative_map": negative_map}
    return {name: lacking if value is None else value for name, value in given.items()}


def build_terms(
    entries: Mapping[str, dict[str, Any] | None], build: Callable[[dict], nn.Module] = build_loss
) -> nn.ModuleDict:
    """Build the terms in the order of the option file; entries set to null (removed by a later file) are left out.

    An entry's key `gt` is not for the loss: it names the input that the term gets as its GT, "gt" or "gt_usm".
    """
    terms = nn.ModuleDict()
    for name, entry in entries.items():
        if entry is not None:
            terms[name] = build({key: value for key, value in entry.items() if key != "gt"})
            terms[name].gt_name = entry.get("gt", "gt")
    return terms


def term_inputs(term: nn.Module, inputs: StepInputs) -> list[Any]:
    """What a term's class attribute `inputs` declares (default: sr, gt), with the GT that the option file chose."""
    gt = str(getattr(term, "gt_name", "gt"))
    return [inputs[gt if key == "gt" else key] for key in getattr(term, "inputs", DEFAULT_INPUTS)]


def evaluate_term(name: str, term: nn.Module, inputs: StepInputs) -> "OrderedDict[str, Tensor]":
    """Value(s) of one term by log name.

    A term gets its `term_inputs`. BasicSR's PerceptualLoss
    returns a pair (perceptual, style), either of which may be None; the second is logged as `<name>_style`.
    """
    value = term(*term_inputs(term, inputs))
    values = value if isinstance(value, tuple) else (value,)
    names = (name, f"{name}_style")
    return OrderedDict((key, part) for key, part in zip(names, values, strict=False) if part is not None)
