"""Small generators and pictures for the tests of inference."""

from pathlib import Path

from prismsr.tools.inference.generator import Generator, load_generator

import cv2
import numpy as np
import torch
from basicsr.archs.srvgg_arch import SRVGGNetCompact

OPTIONS = """
name: tiny
network_g: {type: SRVGGNetCompact, num_feat: 4, num_conv: 1, upscale: 4}
"""


def write_model(folder: Path) -> Path:
    """An option file and its experiment's checkpoint, whose EMA differs from the last weights."""
    torch.manual_seed(0)
    nets = {key: SRVGGNetCompact(num_feat=4, num_conv=1, upscale=4) for key in ("params", "params_ema")}
    path = folder / "experiments" / "tiny" / "models" / "net_g_latest.pth"
    path.parent.mkdir(parents=True)
    torch.save({key: net.state_dict() for key, net in nets.items()}, path)
    (folder / "tiny.yml").write_text(OPTIONS)
    return folder / "tiny.yml"


def tiny_generator(folder: Path) -> Generator:
    """The generator of `write_model`, on the CPU."""
    return load_generator(write_model(folder), device="cpu", root=folder)


def write_images(folder: Path, *names: str, side: int = 20) -> None:
    """Smooth colour images."""
    rng = np.random.default_rng(0)
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        image = cv2.GaussianBlur(rng.integers(0, 256, (side, side + 4, 3), dtype=np.uint8), (0, 0), 2)
        assert cv2.imwrite(str(folder / name), image)
