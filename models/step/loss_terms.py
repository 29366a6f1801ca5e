"""The loss terms of one training step: what an option file lists under `train.losses`."""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

from prismsr.utils.errors import UserError
from prismsr.utils.loss_inputs import input_names, required_inputs
from prismsr.utils.weights.tensors_only import tensors_only

from basicsr.losses import build_loss
from torch import Tensor, nn


def name_outputs(net: nn.Module, output: Tensor | tuple[Tensor | None, ...]) -> dict[str, Tensor]:
    """Return what a generator returned in training mode, by name: as its class attribute OUTPUTS lists, else "sr".

    An output that was not asked for is None, and left out. UserError where there are more or less than it declares.
    """
    names: tuple[str, ...] = getattr(net, "OUTPUTS", ("sr",))
    values = output if isinstance(output, tuple) else (output,)
    if len(values) != len(names):
        raise UserError(
            f"{type(net).__name__} returned {len(values)} outputs in training mode, and its class attribute OUTPUTS "
            f"names {', '.join(names)}; without OUTPUTS it is sr alone."
        )
    return {name: value for name, value in zip(names, values, strict=True) if value is not None}


class StepInputs:
    """What the step can hand to a loss term, by name: the entries of the batch, and what the step computes.

    A callable entry gets this object and is computed when it is asked for first.

    Args:
        entries: the batch's, as the dataset names them ("lq", "gt", "gt_mask", ...), and the step's, which its model
            declares ("sr", the output of net_g; "sr_ema", that of the moving average, without gradient; ...).
    """

    def __init__(self, entries: Mapping[str, Any]) -> None:
        self._entries = dict(entries)

    def __contains__(self, name: str) -> bool:
        return name in self._entries

    def __getitem__(self, name: str) -> Any:
        """Return the entry, computing and keeping a lazy one; UserError, telling what there is, where there is none."""
        if name not in self._entries:
            there = ", ".join(sorted(self._entries))
            raise UserError(f"A loss term asks for {name!r}, which neither batch nor step has; there is: {there}.")
        value = self._entries[name]
        if callable(value) and not isinstance(value, nn.Module):
            value = self._entries[name] = value(self)
        return value

    def without_graph(self, sr: Tensor) -> "StepInputs":
        """Return the same for the discriminators: `sr` in its place, and all else cut off from its graph."""
        kept = {name: value.detach() if hasattr(value, "detach") else value for name, value in self._entries.items()}
        return StepInputs({**kept, "sr": sr})


@tensors_only()  # BasicSR's PerceptualLoss reads torchvision's VGG
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
    """Return what a term's `inputs` name, with the GT that the option file chose; None for what may lack and does.

    UserError where something is not there.
    """
    gt = str(getattr(term, "gt_name", "gt"))
    required = required_inputs(term)
    pairs = [(name, gt if name == "gt" else name) for name in input_names(term)]
    return [inputs[key] if name in required or key in inputs else None for name, key in pairs]


def evaluate_term(name: str, term: nn.Module, inputs: StepInputs) -> "OrderedDict[str, Tensor]":
    """Return value(s) of one term by log name.

    A term gets its `term_inputs`. BasicSR's PerceptualLoss returns a pair (perceptual, style), either of which may be
    None; the second is logged as `<name>_style`.
    """
    value = term(*term_inputs(term, inputs))
    values = value if isinstance(value, tuple) else (value,)
    names = (name, f"{name}_style")
    return OrderedDict((key, part) for key, part in zip(names, values, strict=False) if part is not None)
