"""What an LGCAA checkpoint says beside its tensors, compared with the network that it is loaded into."""

import pickle
from pathlib import Path
from typing import Any

from prismsr.utils.run_record import describe_differences
from prismsr.utils.weights.files import WeightsError

import torch
from basicsr.utils import get_root_logger
from torch import nn

NOTES = "lgcaa"


def read_notes(path: str | Path) -> dict[str, Any]:
    """Return the sections base, dino, lgcaa and rgb that a network was trained with; {} where the file has none.

    The file is mapped, not read; what is wrong with it the loading itself tells.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (OSError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError):
        return {}
    notes = content.get(NOTES) if isinstance(content, dict) else None
    return dict(notes) if isinstance(notes, dict) else {}


def require_same_options(net: nn.Module, path: str | Path, strict: bool) -> None:
    """Compare a file's notes with the network's sections; a warning where what is frozen came from elsewhere.

    Raises:
        WeightsError: `lgcaa` differs, which tensors alone would not show, and strict is set.
    """
    notes, sections = read_notes(path), getattr(net, "sections", {})
    if not notes or not sections:
        return
    changed = _differences(notes.get("lgcaa", {}), sections["lgcaa"])
    if changed and strict:
        raise WeightsError(
            f"{path} was trained with other options of network_g.lgcaa: {changed}. Set them as they were, "
            "or path.strict_load_g: false to load it all the same."
        )
    for part in ("base", "dino"):
        if others := _differences(notes.get(part, {}), sections[part]):
            get_root_logger().warning(f"{path} was trained beside other frozen weights: {part}: {others}.")


def _differences(then: dict[str, Any], now: dict[str, Any]) -> str:
    shared = [key for key in now if key != "preset" and key in then]
    return describe_differences({key: then[key] for key in shared}, {key: now[key] for key in shared})
