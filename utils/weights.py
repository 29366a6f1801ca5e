"""Pretrained weights by upstream loaders, from a local file or their cache, with a message that helps offline."""

import os
from collections.abc import Mapping
from pathlib import Path
from urllib.error import URLError

from prismsr.utils.errors import UserError

import torch
from torch import Tensor


class WeightsError(UserError, RuntimeError):
    """Pretrained weights are not at hand; the message says what to fetch, from where, and where to put it."""


def load_state_dict(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Read a state dict from a local .pth file, tensors only (no code is run).

    Raises:
        WeightsError: the file is missing or holds anything but tensors and plain containers.
    """
    if not Path(path).is_file():
        raise WeightsError(f"No weights file at {path}.")
    try:
        state: Mapping[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise WeightsError(f"{path} cannot be read as a file of plain tensors: {error}") from error
    return dict(state)


def load_torchvision_weights(url: str, what: str) -> dict[str, Tensor]:
    """State dict of a torchvision network, from torch.hub's cache or downloaded into it (its hash is checked).

    Args:
        url: torchvision's address of the file.
        what: name of the network for the message, e.g. "VGG19 (ImageNet)".

    Raises:
        WeightsError: not in the cache, and the download failed.
    """
    target = Path(torch.hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[1]
    try:
        return torch.hub.load_state_dict_from_url(url, map_location="cpu", check_hash=True, weights_only=True)
    except (URLError, OSError) as error:
        raise WeightsError(
            f"The weights of {what} are not on this machine and could not be downloaded ({error}). "
            f"Fetch {url} on a machine with a network and put it at {target}, or name it by the option `weights`."
        ) from error
