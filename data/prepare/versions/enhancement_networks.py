"""Enhancers from weights: any x1 image restoration network that spandrel knows, from its file alone, in tiles."""

from functools import lru_cache
from pathlib import Path
from typing import Any

from prismsr.utils.weights.files import WeightsError
from prismsr.utils.weights.spandrel import read_spandrel

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

RGB = 3


@lru_cache(maxsize=8)
def load_model(path: str, device: str = "cpu") -> Any:
    """Return the network of a file as a spandrel descriptor, in eval and float32; no code of the file is run.

    It is a .pth, .pt, .ckpt or .safetensors; BasicSR's layouts ({params: ...}, {params_ema: ...}) are known.

    Raises:
        WeightsError: no such file, not safe to read, of a kind that spandrel does not know, not x1, or not RGB to RGB;
            or spandrel is not installed.
    """
    model = read_spandrel(Path(path), hint="Its README lists those that it knows.").to(torch.device(device))
    _require_enhancer(model, path)
    return model.eval().float()


def _require_enhancer(model: Any, path: str) -> None:
    name = f"{path}: {model.architecture.name}"
    if model.purpose == "Inpainting":
        raise WeightsError(f"{name} wants a mask; an enhancer takes an image alone")
    if model.scale != 1:
        raise WeightsError(f"{name} enlarges x{model.scale}; an enhancer keeps the size, x1 is needed here")
    if (model.input_channels, model.output_channels) != (RGB, RGB):
        raise WeightsError(
            f"{name} maps {model.input_channels} channels to {model.output_channels}; RGB to RGB is needed here"
        )


def enhance(image: NDArray[np.uint8], model: Any, tile: int = 1024, tile_pad: int = 24) -> NDArray[np.uint8]:
    """Run an enhancer of `load_model` over an image (H, W, 3), BGR; the result is rounded to 8 bits.

    Tiles have the side `tile`, pixels; with 0, or a network that cuts tiles itself, the image is taken as a whole. The
    network sees `tile_pad` pixels around each tile besides; those beyond the image are not made up.
    """
    rgb = torch.from_numpy(np.ascontiguousarray(image[..., ::-1])).permute(2, 0, 1)[None]
    result = enhance_tiled(rgb.float() / 255, model, 0 if model.tiling.name == "INTERNAL" else tile, tile_pad)
    levels = (result[0].clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    return np.ascontiguousarray(levels[..., ::-1])


def enhance_tiled(image: Tensor, model: Any, tile: int, tile_pad: int) -> Tensor:
    """Return the network's output (1, 3, H, W) float32 over an RGB image of any size in [0, 1], both on the CPU.

    See `enhance` for tiles; 0 takes the whole image at once.
    """
    height, width = image.shape[-2:]
    if tile == 0 or (height <= tile and width <= tile):
        return _run(model, image)
    result = torch.empty_like(image)
    for top in range(0, height, tile):
        for left in range(0, width, tile):
            bottom, right = min(top + tile, height), min(left + tile, width)
            first_row, first_column = max(top - tile_pad, 0), max(left - tile_pad, 0)
            seen = image[..., first_row : bottom + tile_pad, first_column : right + tile_pad]
            rows = slice(top - first_row, bottom - first_row)
            columns = slice(left - first_column, right - first_column)
            result[..., top:bottom, left:right] = _run(model, seen)[..., rows, columns]
    return result


@torch.no_grad()
def _run(model: Any, image: Tensor) -> Tensor:
    return torch.as_tensor(model(image.to(model.device))).float().cpu()
