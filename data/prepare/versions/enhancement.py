"""The enhancers of `tools/prepare.py multi-gt`, classical or networks, by what its command line calls them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prismsr.data.prepare.versions.filters import CLASSICAL, list_parameters
from prismsr.utils.errors import OptionError, UserError
from prismsr.utils.files import hash_file
from prismsr.utils.names import did_you_mean

import numpy as np
from numpy.typing import NDArray

SUFFIXES = (".pth", ".pt", ".ckpt", ".safetensors")  # of networks
MOST_VERSIONS = 99  # two digits


@dataclass(frozen=True)
class Enhancement:
    """One enhancer of the command line: a name in `CLASSICAL`, or a file of weights with how it is run."""

    source: str
    tile: int = 0
    tile_pad: int = 0
    device: str = "cpu"

    @property
    def is_network(self) -> bool:
        """Return whether it is a file of weights."""
        return self.source not in CLASSICAL

    def record(self) -> dict[str, Any]:
        """Return what its output depends on."""
        if not self.is_network:
            return list_parameters(self.source)
        path = Path(self.source)
        try:
            sha256 = hash_file(path)
        except OSError as error:
            raise OptionError(f"{path}: cannot be read ({error.strerror})") from error
        return {"file": path.name, "sha256": sha256, "tile": self.tile, "tile_pad": self.tile_pad}

    def __call__(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return (H, W, 3) BGR to the same."""
        if not self.is_network:
            return CLASSICAL[self.source](image)
        from prismsr.data.prepare.versions.enhancement_networks import enhance, load_model

        import torch

        try:
            return enhance(image, load_model(self.source, self.device), self.tile, self.tile_pad)
        except torch.OutOfMemoryError as error:
            raise OptionError(f"{self.source}: out of memory on {self.device}; use a smaller --tile") from error


def read_enhancements(sources: Sequence[str], tile: int, tile_pad: int, device: str) -> list[Enhancement]:
    """Return the enhancers of the command line, networks loaded.

    OptionError for an unknown name, a file that is no x1 network, no such device, too many enhancers.
    """
    if len(sources) > MOST_VERSIONS:
        raise OptionError(f"--enhancer: {len(sources)} of them; allowed: 1 to {MOST_VERSIONS}")
    from prismsr.data.prepare.versions.enhancement_networks import load_model  # with torch, which --help need not load
    from prismsr.utils.devices import find_device

    enhancements = []
    for source in sources:
        if source not in CLASSICAL and not source.lower().endswith(SUFFIXES):
            raise OptionError(
                f"--enhancer {source}: neither one of {', '.join(CLASSICAL)} nor a file ending in "
                f"{', '.join(SUFFIXES)}{did_you_mean(source, CLASSICAL)}"
            )
        enhancement = Enhancement(source, tile, tile_pad, device)
        if enhancement.is_network:
            try:
                find_device(device)
                load_model(source, device)
            except UserError as error:
                raise OptionError(f"--enhancer {source}: {error}") from error
        enhancements.append(enhancement)
    return enhancements
