"""Checkpoints of DiffIR's release: the arguments that their weights tell, and tensors that they hold twice.

Paper: SSL, table 2, DiffIR.
"""

import math
from collections.abc import Mapping
from typing import Any

from prismsr.utils.names import list_first
from prismsr.utils.weights.files import WeightsError
from prismsr.utils.weights.renamings import count_parts

import torch
from torch import Tensor

_DOUBLED = {"diffusion.condition.": "condition.", "diffusion.model.": "denoise."}
_BETAS = "diffusion.betas"


def drop_doubled(state: Mapping[str, Tensor], betas: tuple[float, ...]) -> dict[str, Tensor]:
    """Return a state dict of the second stage without what the release's files hold a second time below `diffusion.`.

    The state has the release's layout or ours. `betas` are the network's, which the file's have to be where it has
    them.

    Raises:
        WeightsError: a tensor is not equal to its double, or the file was trained with another schedule.
    """
    kept = {key: value for key, value in state.items() if not key.startswith("diffusion.")}
    twins = ((key, twin, own) for twin, own in _DOUBLED.items() for key in state if key.startswith(twin))
    names = {key: own + key.removeprefix(twin) for key, twin, own in twins}
    unequal = [key for key, name in names.items() if name not in kept or not torch.equal(kept[name], state[key])]
    others = [f"{key} and {names[key]}" for key in unequal]
    if others:
        told = list_first(others, 4)
        raise WeightsError(f"a DiffIR checkpoint holds these tensors twice, and they are not equal: {told}")
    own_betas = torch.tensor(betas, dtype=torch.float64)
    found = state.get(_BETAS, own_betas).double()
    if found.shape != own_betas.shape or not torch.allclose(found, own_betas, rtol=1e-5):
        raise WeightsError(
            f"a DiffIR checkpoint was trained with betas {_shown(found)}, the network has {_shown(own_betas)}: set its "
            "timesteps, linear_start and linear_end to those of the checkpoint"
        )
    return kept


def _shown(betas: Tensor) -> str:
    return ", ".join(f"{beta:.4g}" for beta in betas.tolist())


def read_restorer_arguments(state: Mapping[str, Tensor], encoder: str) -> dict[str, Any]:
    """Return the arguments that both stages share; names of the encoder begin with `encoder`."""
    levels = ("encoder_level1", "encoder_level2", "encoder_level3", "latent")
    first = [f"G.{level}.0" for level in levels]
    widths = [len(state[f"{block}.norm1.body.weight"]) for block in first]
    hidden = [state[f"{block}.ffn.project_out.weight"].shape[1] for block in first]
    return {
        "dim": widths[0],
        "num_blocks": [count_parts(state, f"G.{level}") for level in levels],
        "num_refinement_blocks": count_parts(state, "G.refinement"),
        "heads": [len(state[f"{block}.attn.temperature"]) for block in first],
        "ffn_expansion_factor": _find_factor(widths, hidden),
        "n_encoder_res": sum(key.startswith(f"{encoder}E.") and key.endswith(".body.0.weight") for key in state),
    }


def read_diffusion_arguments(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return the arguments of the second stage alone; those of the schedule where the weights tell it."""
    found = {"n_denoise_res": count_parts(state, "denoise.resmlp") - 1}
    if _BETAS not in state:
        return found
    betas = state[_BETAS].double()
    first, last = (round(float(beta), 6) for beta in (betas[0], betas[-1]))
    return {**found, "timesteps": len(betas), "linear_start": first, "linear_end": last}


def _find_factor(widths: list[int], hidden: list[int]) -> float:
    """Return the number of fewest digits that times each width, rounded down, is the hidden one."""
    least = max(inside / width for width, inside in zip(widths, hidden, strict=True))
    below = min((inside + 1) / width for width, inside in zip(widths, hidden, strict=True))
    for digits in range(1, 10):
        factor = math.ceil(least * 10**digits - 1e-9) / 10**digits
        if factor < below:
            return factor
    return least
