"""What a checkpoint says beside its tensors, compared with the network it is loaded into."""

import pickle
from pathlib import Path
from typing import Any

from prismsr.utils.run_record import describe_differences
from prismsr.utils.weights.files import WeightsError

import torch
from basicsr.utils import get_root_logger


def read_notes(path: str | Path, name: str) -> dict[str, Any]:
    """Return the sections that a network was trained with, the entry `name`; {} where the file has none.

    The file is mapped, not read; what is wrong with it the loading itself tells.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (OSError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError):
        return {}
    notes = content.get(name) if isinstance(content, dict) else None
    return dict(notes) if isinstance(notes, dict) else {}


_LENIENT = ", or path.strict_load_g: false to load it all the same"


def require_same_options(net: Any, path: str | Path, strict: bool, advice: str = _LENIENT) -> None:
    """Compare a file's notes with the network's sections; a warning where what is frozen came from elsewhere.

    The network's class says which are which: NOTES, the entry of the file, MEANING and FROZEN, names of sections.
    `advice` is what else may be done than to set options as they were.

    Raises:
        WeightsError: a section of MEANING differs, which tensors alone would not show, and strict is set.
    """
    if not hasattr(net, "sections"):
        return
    notes, sections = read_notes(path, net.NOTES), net.sections
    if not notes:
        return
    for part in net.MEANING:
        changed = _differences(notes.get(part, {}), sections[part])
        if changed and strict:
            raise WeightsError(
                f"{path} was trained with other options of network_g.{part}: {changed}. Set them as they were{advice}."
            )
        if changed:
            get_root_logger().warning(f"{path} was trained with other options of network_g.{part}: {changed}.")
    for part in net.FROZEN:
        if others := _differences(notes.get(part, {}), sections[part]):
            get_root_logger().warning(f"{path} was trained beside other frozen weights: {part}: {others}.")


def tell_unsaid_options(net: Any, path: Path) -> None:
    """Warn of sections of a network, built from its weights alone, that neither these nor the file's notes tell.

    Its `hyperparameters` are what the weights tell. WeightsError where the notes tell other options than it has.
    """
    if not hasattr(net, "NOTES"):
        return
    option_file = f"an option file: --model OPTIONS.yml --weights {path}"
    require_same_options(net, path, strict=True, advice=f" in {option_file}")
    for part in net.MEANING:
        unsaid = [f"{name} {value}" for name, value in net.sections[part].items() if name not in net.hyperparameters]
        if unsaid and part not in read_notes(path, net.NOTES):
            text = f"does not tell network_g.{part}; taken are {', '.join(unsaid)}. Others are set in {option_file}"
            get_root_logger().warning(f"{path} {text}")


def _differences(then: dict[str, Any], now: dict[str, Any]) -> str:
    shared = [key for key in now if key != "preset" and key in then]
    return describe_differences({key: then[key] for key in shared}, {key: now[key] for key in shared})
