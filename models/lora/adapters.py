"""Low-rank adaptation (LoRA, Hu et al. 2022) of linear and convolution layers, as parametrizations of their weights.

W' = W + (alpha / rank) B A, with A (rank, in k k) and B (out, rank): for a convolution that is a k x k convolution down
to `rank` channels followed by a 1 x 1 convolution up, folded into one. W and all else of the network are frozen. The
network runs with W' in the place of W, so that merging changes nothing: W' is the merged weight.

Paper: AMO, section 5.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from prismsr.utils.errors import OptionError
from prismsr.utils.names import did_you_mean, list_first
from prismsr.utils.weights.files import WeightsError

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.utils import parametrize

A, B = "lora_A", "lora_B"
_INSIDE = ".parametrizations.weight."
_SHOWN = 4


def low_rank_weight(weight: Tensor, lora_a: Tensor, lora_b: Tensor, scale: float) -> Tensor:
    """Return w + scale * B A, differentiable; in the precision of the arguments, also under autocast.

    The weight is (out, in) of a linear layer or (out, in, k, k) of a convolution; so is the result. A is (rank, in k
    k), B (out, rank), and scale alpha / rank.
    """
    with torch.autocast(weight.device.type, enabled=False):
        return torch.add(weight, (lora_b @ lora_a).view(weight.shape), alpha=scale)


class LowRank(nn.Module):
    """The parametrization W -> W + (alpha / rank) B A; B starts at 0, so that W' starts as W."""

    def __init__(self, weight: Tensor, rank: int, alpha: float) -> None:
        super().__init__()
        self.scale = alpha / rank
        self.lora_A = nn.Parameter(weight.new_empty(rank, weight[0].numel()))
        self.lora_B = nn.Parameter(weight.new_zeros(len(weight), rank))
        nn.init.kaiming_uniform_(self.lora_A, a=math.sqrt(5))  # as nn.Linear and nn.Conv2d begin

    def forward(self, weight: Tensor) -> Tensor:
        """Return w' of W, same shape."""
        return low_rank_weight(weight, self.lora_A, self.lora_B, self.scale)


# ------------------------------------------------------------------------------------------------- which layers


def find_layers(net: nn.Module, targets: Sequence[str]) -> dict[str, nn.Module]:
    """Return the layers that shell-style patterns choose by name, as `layers.*.mlp.fc?` (`*` matches dots, too).

    Raises:
        OptionError: a pattern matches no linear layer or convolution, or also a layer of another kind with weights.
    """
    modules = {name: module for name, module in net.named_modules() if name}
    chosen: dict[str, nn.Module] = {}
    for target in targets:
        matched = {name: module for name, module in modules.items() if fnmatchcase(name, target)}
        layers = {name: module for name, module in matched.items() if adaptable(module)}
        others = [name for name in matched if name not in layers and _has_weights(matched[name])]
        if others:
            raise OptionError(_say_other_kinds(target, matched, others))
        if not layers:
            names = [name for name in modules if adaptable(modules[name])]
            hint = did_you_mean(target, names) if names else "; it has none"
            what = f"no linear layer or convolution of network_g, {type(net).__name__}"
            raise OptionError(f"lora.targets: {target!r} matches {what}{hint}")
        chosen |= layers
    return chosen


def adaptable(module: nn.Module) -> bool:
    """Return whether a layer can have an adapter: nn.Linear or nn.Conv2d, groups 1, `weight` a plain parameter."""
    known = isinstance(module, nn.Linear) or (isinstance(module, nn.Conv2d) and module.groups == 1)
    return known and module._parameters.get("weight") is not None


def _has_weights(module: nn.Module) -> bool:
    return next(module.parameters(recurse=False), None) is not None or parametrize.is_parametrized(module)


def _say_other_kinds(target: str, matched: Mapping[str, nn.Module], others: Sequence[str]) -> str:
    kinds = list_first([f"{name} ({type(matched[name]).__name__})" for name in others], _SHOWN)
    return (
        f"lora.targets: {target!r} also matches {kinds}; only nn.Linear and nn.Conv2d with groups 1 can "
        "be adapted, where no spectral norm or other parametrization makes their weight. Write a narrower pattern."
    )


# ---------------------------------------------------------------------------------------------------- a network


def add_adapters(net: nn.Module, rank: int, alpha: float | None, targets: Sequence[str]) -> list[str]:
    """Freeze a network and give the chosen layers adapters, in place; they alone require gradients. Return their names.

    Layers that keep running statistics (batch norm) use those of the base from now on, also in training. The network
    has no wrapper; its outputs stay as they are. Without alpha the updates' factor is 1. OptionError as `find_layers`.
    """
    layers = find_layers(net, targets)
    net.requires_grad_(False)
    for module in net.modules():
        if isinstance(module, _NormBase):
            module.register_forward_pre_hook(_evaluating)
    for layer in layers.values():
        weight: Tensor = layer.weight  # type: ignore[assignment]
        low_rank = LowRank(weight, rank, rank if alpha is None else alpha)
        parametrize.register_parametrization(layer, "weight", low_rank, unsafe=True)  # unsafe: without a trial run
    return list(layers)


def _evaluating(module: nn.Module, inputs: object) -> None:
    module.training = False


def adapters(net: nn.Module) -> Iterator[tuple[str, nn.Module, LowRank]]:
    """Name, layer and adapter of each adapted layer."""
    for name, module in net.named_modules():
        if parametrize.is_parametrized(module, "weight"):
            first = module.parametrizations["weight"][0]
            if isinstance(first, LowRank):
                yield name, module, first


def adapter_state(net: nn.Module) -> dict[str, Tensor]:
    """Return the adapters' tensors, `<layer>.lora_A` and `<layer>.lora_B`."""
    found = ((name, *named) for name, _, adapter in adapters(net) for named in adapter.named_parameters())
    return {f"{name}.{key}": tensor.detach() for name, key, tensor in found}


@torch.no_grad()
def load_adapter_state(net: nn.Module, state: Mapping[str, Tensor], source: object) -> None:
    """Copy what `adapter_state` returned into the adapters of a network; WeightsError, naming `source`, if unfit."""
    own = adapter_state(net)
    unfit = [key for key in own.keys() | state.keys() if key not in own or key not in state]
    unfit += [key for key in own.keys() & state.keys() if own[key].shape != state[key].shape]
    if unfit:
        raise WeightsError(
            f"{source} does not fit the adapters of network_g: {', '.join(sorted(unfit)[:_SHOWN])} "
            f"({len(unfit)} in all) are missing, unknown or of another size. Use the section lora it was trained with."
        )
    for key, tensor in own.items():
        tensor.copy_(state[key])


@torch.no_grad()
def merge_state(net: nn.Module) -> dict[str, Tensor]:
    """State dict under the keys, and in the order, that the network has without adapters, with W' for W."""
    weights: dict[str, Any] = {name: layer.weight for name, layer, _ in adapters(net)}
    merged: dict[str, Tensor] = {}
    for key, tensor in net.state_dict().items():
        name, inside, _ = key.partition(_INSIDE)
        name = name if inside else key.rpartition(".")[0]
        if name in weights:
            merged[f"{name}.weight"] = weights[name]  # the first key of its layer, though not in the adapted one
        if not (inside and name in weights):
            merged[key] = tensor
    return merged


def merge(base: Mapping[str, Tensor], adapter: Mapping[str, Tensor], scale: float) -> dict[str, Tensor]:
    """Return the same from state dicts alone: base with W + scale * B A in the place of each adapted weight.

    A base in half precision is merged in float32 and rounded once. The scale is alpha / rank.

    Raises:
        WeightsError: the adapter is for layers that the base does not have, or of other sizes.
    """
    merged = dict(base)
    for name in dict.fromkeys(key.rpartition(".")[0] for key in adapter):
        key = f"{name}.weight"
        weight, a, b = base.get(key), adapter.get(f"{name}.{A}"), adapter.get(f"{name}.{B}")
        if weight is None or a is None or b is None or (len(b), a.shape[1]) != (len(weight), weight[0].numel()):
            raise WeightsError(f"The adapter of layer {name} does not fit the base's {key}: it is of another network.")
        precise = weight.to(torch.promote_types(weight.dtype, a.dtype))
        merged[key] = low_rank_weight(precise, a, b, scale).to(weight.dtype)
    return merged
