"""Read weights: torch and safetensors files without running code, pretrained ones by upstream loaders.

Every error says which file, what is wrong with it, and what to do.
"""

import hashlib
import os
import pickle
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.error import URLError

from prismsr.utils.errors import UserError
from prismsr.utils.names import list_first
from prismsr.utils.weights.renamings import rename_to_fit

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

_LAYOUTS = ("params", "params_ema", "params-ema", "state_dict", "model_state_dict", "model", "net")
"""Keys under which files of BasicSR, ELAN and others hold the state dict."""
_WRAPPERS = re.compile(r"^(?:module\.)?(?:_orig_mod\.)?(?:netG\.)?")
"""What DistributedDataParallel, torch.compile and Lightning modules put before each name."""
_SHOWN = 4
_DOS_FOLDER = 0x10
"""Bit of a zip entry's external attributes."""


class WeightsError(UserError, RuntimeError):
    """Weights are not at hand, damaged, or do not fit; the message says what to fetch or mend, and where."""


def read_file(path: str | os.PathLike[str]) -> Any:
    """Return a torch.save or safetensors file's content, on the CPU: tensors and plain containers; no code is run.

    Checksums are checked where the file has them (torch's zip format, since 1.6), so that a damaged file is noticed.

    Raises:
        WeightsError: missing, truncated, damaged, of another kind, or in need of more than tensors.
    """
    path = Path(path)
    if not path.is_file():
        raise WeightsError(f"No file at {path}.")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        _check_sums(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except WeightsError:  # told by whoever holds torch.load (tensors_only.py)
        raise
    except pickle.UnpicklingError as error:
        raise WeightsError(describe_refusal(path, error)) from error
    except Exception as error:  # a damaged file can make its reader fail in any way: zlib.error, NotImplementedError
        reason = str(error).split(". This is an internal")[0].splitlines() or ["it ends too early"]
        raise WeightsError(f"{path} is truncated, damaged or no weights file ({reason[0]}).") from error


def _check_sums(path: Path) -> None:
    if zipfile.is_zipfile(path):  # torch.load does not compare the sums that torch.save writes
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
            folders = [entry.filename for entry in archive.infolist() if entry.external_attr & _DOS_FOLDER]
        if damaged is not None:
            raise zipfile.BadZipFile(f"wrong checksum of {damaged}")
        if folders:  # torch.load would take what the memory happens to hold for its values
            raise zipfile.BadZipFile(f"{folders[0]} is marked as a folder")


def describe_refusal(path: Path, error: pickle.UnpicklingError) -> str:
    """Return what to tell of a file that needs more than tensors: its name, what it needs, and what to do."""
    try:
        names = torch.serialization.get_unsafe_globals_in_checkpoint(str(path))
    except Exception:  # a file older than torch's zip format, or damaged
        names = re.findall(r"GLOBAL (\S+)", str(error))
    if not names:
        return f"{path} is damaged or no weights file."
    return (
        f"{path} was not read: besides tensors it needs {', '.join(sorted(names))}, and making those can run any code. "
        "Where you trust its source, load it on a machine that may be lost, with weights_only=False, and save its bare "
        "state_dict() in its place."
    )


def network_weights(path: str | os.PathLike[str], key: str | None = "params") -> tuple[dict[str, Tensor], str | None]:
    """State dict of one network from a file in any of the layouts that BasicSR's users have.

    Args:
        path: a .pth or .safetensors file: {params: ..., params_ema: ...}, {state_dict: ...} or the bare state dict.
        key: which of them is wanted; where the file lacks one of params, params_ema and state_dict, the others are
            tried.

    Returns:
        The state dict without the prefixes that DataParallel and torch.compile add, and the key it was found under
        (None: bare).

    Raises:
        WeightsError: see `read_file`; or there is no state dict in the file, or none under another key.
    """
    content = read_file(path)
    entries: Mapping[str, Any] = content if isinstance(content, Mapping) else {}
    if isinstance(entries.get("lora"), Mapping):
        raise WeightsError(
            f"{path} holds a LoRA adapter, no network. Use the merged network that was saved with it (net_g_..., not "
            "net_g_lora_...), or make it by tools/merge_lora.py."
        )
    found = next((name for name in (key, *_LAYOUTS) if name and isinstance(entries.get(name), Mapping)), None)
    state = entries[found] if found else entries
    if key and found != key and key not in _LAYOUTS:
        raise WeightsError(f"{path} has no {key} (it holds {list_first([str(name) for name in entries], _SHOWN)}).")
    if not state or not all(isinstance(name, str) and isinstance(value, Tensor) for name, value in state.items()):
        held = ", ".join(map(str, list(entries)[:_SHOWN])) or type(content).__name__
        raise WeightsError(f"{path} holds no network under {key or 'its top level'} (it holds {held}, ...).")
    return {_WRAPPERS.sub("", name): value for name, value in state.items()}, found


def load_strictly(net: nn.Module, state: Mapping[str, Tensor], path: str | os.PathLike[str], advice: str = "") -> None:
    """Load a state dict, in the network's names or in those of another project (see renamings.py).

    A key that is missing, unknown or of another size is a WeightsError, and what the network's own hook refuses. For
    `advice` see `require_fit`.
    """
    try:
        state = rename_to_fit(net, state)
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from error
    require_fit(net, state, path, advice)
    net.load_state_dict(state)


def require_fit(net: nn.Module, state: Mapping[str, Tensor], path: str | os.PathLike[str], advice: str = "") -> None:
    """Raise WeightsError, naming the first keys, where a state dict has not the keys and shapes of a network.

    `advice` is what else may be done than to compare options.
    """
    own = {name: tuple(value.shape) for name, value in net.state_dict().items()}
    given = {name: tuple(value.shape) for name, value in state.items()}
    sizes = [f"{name} {given[name]} instead of {own[name]}" for name in own if given.get(name, own[name]) != own[name]]
    found = {
        "missing": sorted(own.keys() - given.keys()),
        "unknown": sorted(given.keys() - own.keys()),
        "of another size": sizes,
    }
    if any(found.values()):
        differences = "; ".join(f"{what}: {list_first(items, _SHOWN)}" for what, items in found.items() if items)
        raise WeightsError(
            f"{path} does not fit {type(net).__name__}: {differences}. Compare the network's options with those it was "
            f"trained with{advice}."
        )


def load_state_dict(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Read a local file's bare state dict, tensors only (no code is run); WeightsError for anything else."""
    return network_weights(path, None)[0]


def load_torchvision_weights(url: str, what: str) -> dict[str, Tensor]:
    """State dict of a torchvision network, from torch.hub's cache or downloaded into it (its hash is checked).

    Args:
        url: torchvision's address of the file.
        what: name of the network for the message, e.g. "VGG19 (ImageNet)".

    Raises:
        WeightsError: not in the cache, and the download failed; or the file needs more than tensors.
    """
    target = Path(torch.hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[1]
    try:
        return torch.hub.load_state_dict_from_url(url, map_location="cpu", check_hash=True, weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsError(describe_refusal(target, error)) from error
    except (URLError, OSError) as error:
        raise WeightsError(
            f"The weights of {what} are not on this machine and could not be downloaded ({error}). "
            f"Fetch {url} on a machine with a network and put it at {target}, or name it by the option `weights`."
        ) from error


def hash_weights(net: nn.Module) -> str:
    """Return the SHA-256, in hex, of a state dict's bytes in the order of its keys; "" without weights."""
    state = net.state_dict()
    digest = hashlib.sha256()
    for key in sorted(state):
        digest.update(state[key].detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest() if state else ""
