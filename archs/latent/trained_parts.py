"""Networks of which a part is trained: their state is that part alone, and copies share the rest."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

from prismsr.utils.errors import OptionError
from prismsr.utils.weights.files import require_fit

import torch
from torch import Tensor, nn


def keep_trained_alone(net: nn.Module, trained: Iterable[str]) -> None:
    """Freeze all parameters but these; the state dict holds these alone, and loading is strict about them alone."""
    net.trained = tuple(trained)  # type: ignore[assignment]
    chosen = set(net.trained)  # type: ignore[arg-type]
    for name, parameter in net.named_parameters():
        parameter.requires_grad_(name in chosen)
    net.register_state_dict_post_hook(_keep_trained)
    net.register_load_state_dict_post_hook(_forget_frozen)


def choose_trained(net: nn.Module, whole: Collection[str], patterns: Sequence[str], example: str) -> list[str]:
    """Return the names of the parameters in the parts `whole`, and in the UNet's modules that `patterns` names.

    OptionError where no module of the UNet has a name; `example` is one that modules have.
    """
    names = [name.split(".") for name, _ in net.named_parameters()]
    inside = [(part, *inner) for part, *inner in names if part == "unet" and not set(patterns).isdisjoint(inner)]
    unknown = [word for word in patterns if not any(word in name for name in inside)]
    if unknown:
        raise OptionError(f"train_pattern: no module of the UNet is named {', '.join(unknown)}; e.g. {example}")
    chosen = set(inside)
    return [".".join(name) for name in names if name[0] in whole or tuple(name) in chosen]


def trainable_state(net: nn.Module) -> dict[str, Tensor]:
    """Return a network's trained tensors by name, without a graph; none of what is frozen, e.g. the VAE."""
    return {name: value.detach() for name, value in net.state_dict().items()}


def load_trainable(net: nn.Module, state: Mapping[str, Tensor], source: str | Path = "The state") -> None:
    """Load what trainable_state returned; WeightsError, naming keys of `source`, where names or shapes differ."""
    require_fit(net, state, source)
    net.load_state_dict(state)


def copy_sharing_frozen(net: nn.Module) -> Any:
    """Return a deep copy, for the moving average, that shares the frozen tensors and so takes no memory for them."""
    trained = set(net.trained)  # type: ignore[arg-type]
    frozen = [value for name, value in net.named_parameters() if name not in trained]
    return deepcopy(net, {id(value): value for value in [*frozen, *net.buffers()]})


def store_frozen(net: nn.Module, dtype: torch.dtype) -> None:
    """Keep what is frozen of a network in `dtype`."""
    for parameter in net.parameters():
        if not parameter.requires_grad:
            parameter.data = parameter.data.to(dtype)


def _keep_trained(net: Any, state: dict[str, Any], prefix: str, metadata: Any) -> None:
    kept = {prefix + name for name in net.trained}
    for key in [key for key in state if key.startswith(prefix) and key not in kept]:
        del state[key]


def _forget_frozen(net: Any, keys: Any) -> None:
    keys.missing_keys[:] = [key for key in keys.missing_keys if key in net.trained]
