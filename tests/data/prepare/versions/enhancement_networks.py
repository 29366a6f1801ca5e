"""Tiny x1 networks as files that spandrel reads."""

from pathlib import Path

import torch
from basicsr.archs.srvgg_arch import SRVGGNetCompact

RADIUS = 4  # of the receptive field: as many 3x3 convolutions


def save_network(path: Path, upscale: int = 1, channels: int = 3, key: str | None = "params") -> Path:
    """A compact network of random weights in BasicSR's layout."""
    generator = torch.Generator().manual_seed(upscale)
    shapes = SRVGGNetCompact(channels, channels, num_feat=8, num_conv=RADIUS - 2, upscale=upscale).state_dict()
    state = {name: 0.1 * torch.randn(value.shape, generator=generator) for name, value in shapes.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({key: state} if key else state, path)
    return path
