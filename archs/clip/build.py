"""Build a frozen CLIP of open_clip: published weights from its cache, a local file, or random ones of any size."""

import copy
import importlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prismsr.utils.errors import shorten_error
from prismsr.utils.weights.files import WeightsError, network_weights, require_fit

import torch
from torch import nn

MODEL = "RN50-quickgelu"
"""OpenAI's CLIP was trained with quick GELU; open_clip's plain "RN50" runs another GELU in the text tower."""
_NOT_WEIGHTS = ("input_resolution", "context_length", "vocab_size")
"""Numbers that OpenAI's own files carry among the weights."""


def open_clip() -> Any:
    """Import open_clip when it is first needed: it takes a second, and most runs do without CLIP."""
    return importlib.import_module("open_clip")


def build_clip(
    pretrained: str | None = "openai", model: str = MODEL, config: Mapping[str, Any] | None = None, seed: int = 0
) -> Any:
    """Return a CLIP of open_clip with a ResNet image tower, frozen and in evaluation mode, float32, on the CPU.

    Args:
        pretrained: open_clip's tag of the weights ("openai", "yfcc15m", "cc12m" for RN50), a local file with its state
            dict (safetensors or torch), or None for random weights.
        model: open_clip's name of the architecture.
        config: changes to the architecture, laid over open_clip's own configuration, e.g. {"embed_dim": 32,
            "vision_cfg": {"layers": [1, 1, 1, 1], "width": 8}}.
        seed: of random weights; they are the same in each process and on each machine, and torch's generator is left as
            it was.

    Raises:
        ValueError: unknown model or tag, or its image tower is no ResNet.
        WeightsError: the weights are not at hand, or do not fit.
    """
    package = open_clip()
    known = package.get_model_config(model)
    if known is None:
        raise ValueError(f"model is {model!r}, which open_clip does not have; the default is {MODEL!r}.")
    path = None if pretrained is None else _weights_file(model, pretrained)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        net = package.CLIP(**_merge(known, config or {}))
        if path is None:
            _revive(net.visual)
    if not hasattr(net.visual, "attnpool"):
        raise ValueError(f"model is {model!r}, which has no multi-scale maps; take a ResNet, such as {MODEL!r}.")
    if path is not None:
        _load(net, path)
    return net.eval().requires_grad_(False)


def _merge(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    merged = copy.deepcopy(dict(base))
    for key, value in changes.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = _merge(merged[key], value) if both else value
    return merged


def _weights_file(model: str, pretrained: str) -> Path:
    path = Path(pretrained).expanduser()
    if path.is_file():
        return path
    tags = open_clip().list_pretrained_tags_by_model(model)
    if pretrained in tags:
        return _fetch(model, pretrained)
    if path.suffix or os.sep in pretrained:
        raise WeightsError(f"No file at {path}; pretrained is a file, one of {', '.join(tags)}, or null for random.")
    raise ValueError(f"pretrained is {pretrained!r}; {model} has the tags {', '.join(tags)}; a file or null do too.")


def _fetch(model: str, tag: str) -> Path:
    package = open_clip()
    entry = package.get_pretrained_cfg(model, tag)
    try:
        return Path(package.download_pretrained(entry))
    except Exception as error:  # the hub's client raises many kinds: no network, no access, a full disk
        repository = str(entry.get("hf_hub") or entry.get("url")).rstrip("/")
        raise WeightsError(
            f"The weights of CLIP {model} ({tag}) are not on this machine and could not be downloaded. On a machine "
            f"with a network, run: hf download {repository} open_clip_model.safetensors. Then copy its cache "
            "(HF_HOME, by default ~/.cache/huggingface) here, or the file anywhere and name it by the option "
            f"`pretrained`. ({shorten_error(error)})"
        ) from error


def _load(net: nn.Module, path: Path) -> None:
    state, _ = network_weights(path, None)
    state = {key: value for key, value in state.items() if key not in _NOT_WEIGHTS}
    require_fit(net, state, path)
    net.load_state_dict(state)


def _revive(visual: nn.Module) -> None:
    # As open_clip leaves it, a random ResNet says next to nothing: each block's last batch norm starts at zero, and the
    # convolutions shrink what passes. With He's deviation and 0.5, maps of a photograph have a spread of about 1.
    for name, module in visual.named_modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
        elif name.endswith("bn3") and name.startswith("layer"):
            nn.init.constant_(module.weight, 0.5)
