"""What Stable Diffusion 2's text encoder makes of the empty prompt: the one context that StableSR's UNet ever sees."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prismsr.utils.weights.files import WeightsError, load_state_dict

import torch
from torch import Tensor, nn

CONTEXT = "context"
"""Name of the tensor in its file."""
BEGIN, END = 49406, 49407
"""Tokens of CLIP; what is left of a prompt is filled with 0."""
_RENAMED = {
    "layer_norm1": "norm1",
    "layer_norm2": "norm2",
    "mlp.fc1": "linear1",
    "mlp.fc2": "linear2",
    "self_attn.out_proj": "self_attn.out_proj",
}


@torch.no_grad()
def encode_empty_prompt(folder: Path) -> Tensor:
    """Return the context (77, 1024) of the empty prompt: the last layer that the folder has, normalised.

    Stable Diffusion 2 uses OpenCLIP's last layer but one, and its folder has the layers up to that. The folder is
    `text_encoder` in transformers' layout, or the one that has it: config.json, model.safetensors.

    Raises:
        WeightsError: a file is missing or damaged, or the encoder is not of Stable Diffusion 2's kind.
    """
    place = folder / "text_encoder" if (folder / "text_encoder").is_dir() else folder
    config = _read_config(place / "config.json")
    state = {key.removeprefix("text_model."): x for key, x in load_state_dict(place / "model.safetensors").items()}
    try:
        x = _embed(state, config["max_position_embeddings"])
        mask = nn.Transformer.generate_square_subsequent_mask(len(x))
        for number in range(config["num_hidden_layers"]):
            x = _build_layer(config, state, f"encoder.layers.{number}.")(x[None], src_mask=mask, is_causal=True)[0]
        norm = (state["final_layer_norm.weight"], state["final_layer_norm.bias"])
        return nn.functional.layer_norm(x, x.shape[-1:], *norm)
    except (KeyError, RuntimeError, TypeError, ValueError, AssertionError) as error:
        raise WeightsError(
            f"{place} is no text encoder of Stable Diffusion 2 in transformers' layout: {error}."
        ) from error


def _read_config(path: Path) -> dict[str, Any]:
    try:
        config: dict[str, Any] = dict(json.loads(path.read_text(encoding="utf8")))
    except (OSError, ValueError, TypeError) as error:
        raise WeightsError(
            f"{path} cannot be read ({error}). Name the folder text_encoder of Stable Diffusion 2 or 2.1."
        ) from error
    if config.get("hidden_act") != "gelu":
        raise WeightsError(
            f"{path}: hidden_act is {config.get('hidden_act')!r}, Stable Diffusion 2's is 'gelu'; is it of version 1?"
        )
    return config


def _embed(state: Mapping[str, Tensor], length: int) -> Tensor:
    tokens = torch.zeros(length, dtype=torch.long)
    tokens[0], tokens[1] = BEGIN, END
    words = state["embeddings.token_embedding.weight"][tokens]
    return (words + state["embeddings.position_embedding.weight"][:length]).float()


def _build_layer(config: Mapping[str, Any], state: Mapping[str, Tensor], prefix: str) -> nn.Module:
    width, heads, hidden = (config[key] for key in ("hidden_size", "num_attention_heads", "intermediate_size"))
    layer = nn.TransformerEncoderLayer(
        width, heads, hidden, dropout=0, activation="gelu", batch_first=True, norm_first=True
    )
    own = {}
    for kind in ("weight", "bias"):
        parts = [state[f"{prefix}self_attn.{name}_proj.{kind}"] for name in "qkv"]
        own[f"self_attn.in_proj_{kind}"] = torch.cat(parts)
        own |= {f"{name}.{kind}": state[f"{prefix}{theirs}.{kind}"] for theirs, name in _RENAMED.items()}
    layer.load_state_dict(own)
    return layer.eval()


def read_context(path: str, width: int) -> Tensor:
    """Return the context (N, width) of a file that tools/prepare.py prompt wrote; WeightsError where there is none."""
    if not Path(path).is_file():
        raise WeightsError(
            f"No file at {path}. Make it by python tools/prepare.py prompt -i TEXT_ENCODER -o {path}, where "
            "TEXT_ENCODER is the folder text_encoder of Stable Diffusion 2.1 base."
        )
    state = load_state_dict(path)
    context = state.get(CONTEXT)
    if context is None or context.ndim != 2 or context.shape[1] != width:
        held = ", ".join(f"{name} {tuple(value.shape)}" for name, value in list(state.items())[:4])
        raise WeightsError(f"{path} has no tensor {CONTEXT!r} of (tokens, {width}); it has {held}.")
    return context
