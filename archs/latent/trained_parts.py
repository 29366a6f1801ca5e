"""Networks of which a part is trained: their state is that part alone, and copies share the rest."""

from collections.abc import Iterable, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

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
