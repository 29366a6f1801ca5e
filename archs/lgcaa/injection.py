"""LGCAA inside diffusers' UNet: a subclass of its Attention, put into the self-attention of each transformer block.

It imports diffusers: import it where it is needed, not at the top of a file that `import prismsr` reads.

Paper: LGCAA, sec. III-B.
"""

import importlib
from collections.abc import Iterator
from typing import Any

from prismsr.archs.lgcaa.branch import LGCAABranch
from prismsr.archs.lgcaa.options import LgcaaOptions

import torch
from torch import Tensor, nn

Attention: Any = importlib.import_module("diffusers.models.attention_processor").Attention
_PLACES = {"down": "down_blocks", "mid": "mid_block", "up": "up_blocks"}


class LGCAASelfAttention(Attention):
    """diffusers' Attention with LGCAA's branch beside it, as the child `lgcaa`.

    The names of all old weights stay, and since the branch is no attention processor, neither
    set_default_attn_processor nor an IP-Adapter replaces it. `lgcaa_scale` weighs the branch at inference.
    """

    lgcaa: LGCAABranch
    combine: str = "parallel"
    lgcaa_scale: float = 1.0

    def forward(self, hidden_states: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Return tokens (B, N, C), the output of norm1, to (B, N, C)."""
        if self.combine == "replace":
            return self.lgcaa(hidden_states)
        attended: Tensor = super().forward(hidden_states, *args, **kwargs)
        added = self.lgcaa(hidden_states, attended if self.combine == "stacked" else None)
        return attended + (added if self.lgcaa_scale == 1 else self.lgcaa_scale * added)


def inject(unet: nn.Module, options: LgcaaOptions) -> list[str]:
    """Put the branch into attn1 of a UNet's transformer blocks, in place; mode "none" changes nothing.

    Weights are loaded, and ControlNet copied from the UNet, before this. With combine "parallel" or "stacked" the
    UNet's output stays the same to the bit until the branch is trained. Return the names of the modules that have the
    branch now, e.g. "mid_block.attentions.0.transformer_blocks.0.attn1".
    """
    if options.mode == "none":
        return []
    found = list(find_self_attentions(unet, options.places))
    for _, attn in found:
        _add_branch(attn, options)
    if options.local_window is not None:
        for module in unet.modules():
            if type(module).__name__ == "Transformer2DModel":
                module.register_forward_pre_hook(_note_size)
    return [name for name, _ in found]


def find_self_attentions(unet: nn.Module, places: list[Any]) -> Iterator[tuple[str, Any]]:
    """Name and module of each attn1 in the given parts of a UNet."""
    wanted = tuple(_PLACES[place] for place in places)
    for name, module in unet.named_modules():
        if name.split(".")[0] in wanted and name.endswith(".attn1") and isinstance(module, Attention):
            yield name, module


def set_lgcaa_scale(unet: nn.Module, scale: float) -> None:
    """Weigh the branches of a UNet: 1 as trained, 0 without them."""
    for module in unet.modules():
        if isinstance(module, LGCAASelfAttention):
            module.lgcaa_scale = scale


def _add_branch(attn: Any, options: LgcaaOptions) -> None:
    branch = LGCAABranch(attn.query_dim, attn.heads, options)
    if options.init_from_attn1 and branch.local is not None:
        _copy_projections(attn, branch.local)
    attn.__class__ = LGCAASelfAttention  # keeps the weights, their names and the processor as they are
    attn.combine = options.combine
    attn.lgcaa = branch.to(device=attn.to_q.weight.device)
    if options.combine == "replace":
        attn.to_q = attn.to_k = attn.to_v = attn.to_out = None  # else they were trained parameters without a gradient


@torch.no_grad()
def _copy_projections(attn: Any, local: Any) -> None:
    for name in ("to_q", "to_k", "to_v"):
        getattr(local, name).weight.copy_(getattr(attn, name).weight)
    local.to_out.load_state_dict(attn.to_out[0].state_dict())


def _note_size(module: nn.Module, args: tuple[Any, ...]) -> None:
    # attn1 sees tokens only; the module as an argument, not in a closure, so that copies note their own
    for block in module.transformer_blocks:  # type: ignore[union-attr]
        local = getattr(getattr(block.attn1, "lgcaa", None), "local", None)
        if local is not None:
            local.size = tuple(args[0].shape[-2:])
