"""One picture through a generator: tiles, grey, alpha and depth, and less memory where it runs out."""

import sys
from functools import partial
from typing import Any, Literal

from prismsr.models.step.memory import is_out_of_memory
from prismsr.tools.inference.defaults import TILE, fit_overlap
from prismsr.tools.inference.generator import Generator
from prismsr.tools.inference.pictures import Picture
from prismsr.utils.errors import DataError, UserError, shorten_error
from prismsr.utils.padding import pad_to_windows
from prismsr.utils.resize import imresize_bicubic
from prismsr.utils.tiling import VERSION, blend_rows

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import distance_transform_edt
from torch import Tensor

AlphaMode = Literal["bicubic", "net"]
_SMALLEST_TILE = 32


class InferenceError(UserError, ValueError):
    """Inference cannot run as asked; the message says why and what to do."""


class Upscaler:
    """Enlarges pictures by a generator.

    Args:
        generator: the network.
        tile: side of the tiles in input pixels at the most, rounded down to the generator's window; 0: whole pictures.
        overlap: input pixels that neighbouring tiles share at the least, up to half of `tile`; default: `fit_overlap`.
        alpha: how an alpha channel is enlarged: `bicubic`, or by the network (`net`).
        scale: enlargement of the result, a divisor of the generator's scale (its default): the network's output is
            reduced by MATLAB's bicubic.

    Attributes:
        arguments: what it was made with, for making it again.
        settings: these and the generator's: what an output depends on.

    Raises:
        InferenceError: these do not fit together.
    """

    def __init__(
        self,
        generator: Generator,
        tile: int = TILE,
        overlap: int | None = None,
        alpha: AlphaMode = "bicubic",
        scale: int | None = None,
    ) -> None:
        self.generator, self.alpha = generator, alpha
        self.scale = generator.scale if scale is None else scale
        side = tile // generator.window_size * generator.window_size
        overlap = fit_overlap(side, generator.window_size) if overlap is None else overlap
        self.tile, self.overlap = (0, 0) if generator.whole else (tile, overlap if tile else 0)
        if tile < 0 or overlap < 0:
            raise InferenceError(f"tile {tile} and overlap {overlap}: neither is below 0")
        if tile and not generator.whole and (side == 0 or overlap > min(side // 2, side - generator.window_size)):
            raise InferenceError(
                f"tile {tile} and overlap {overlap}: a tile is at least twice the overlap, and holds it "
                f"beside {generator.name}'s window of {generator.window_size} pixels"
            )
        if self.scale < 1 or generator.scale % self.scale:
            raise InferenceError(
                f"scale {scale}: {generator.name} enlarges x{generator.scale}; a divisor of it is wanted"
            )
        sides = {"tile": self.tile, "overlap": self.overlap}
        self.arguments: dict[str, Any] = {**sides, "alpha": alpha, "scale": self.scale}
        tiling = {"tiling": VERSION} if self.tile or generator.whole else {}  # what takes images whole tiles within
        self.settings: dict[str, Any] = {**generator.settings, **self.arguments, **tiling}

    def __call__(self, picture: Picture) -> Picture:
        """Enlarge a picture; the result has its depth, and is grey or has alpha where the picture does.

        Raises:
            DataError: out of memory with the smallest tiles, or the network fails at this picture.
        """
        alpha = picture.alpha
        colour = picture.colour if alpha is None else fill_transparent(picture.colour, alpha)
        if alpha is not None and self.alpha == "net":
            alpha = self._enlarge(alpha[..., None])[..., 0]
        elif alpha is not None:
            alpha = enlarge_bicubic(alpha, self.scale)
        return Picture(self._enlarge(colour), alpha)

    def _enlarge(self, values: NDArray[Any]) -> NDArray[Any]:
        """Map (H, W, 1 or 3) integers to the same of scale times the size, by the network."""
        while True:
            try:
                result = self._run_network(values)
                break
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise DataError(f"the network fails at {_format_size(values)}: {shorten_error(error)}") from error
                self._use_smaller_tiles(max(values.shape[:2]), error)
            except MemoryError as error:
                raise DataError(f"out of memory for the output of {_format_size(values)}") from error
            if self.generator.device.type == "cuda":
                torch.cuda.empty_cache()
        factor = self.generator.scale // self.scale
        return result if factor == 1 else imresize_bicubic(result, factor)

    def _use_smaller_tiles(self, longest: int, error: RuntimeError) -> None:
        window = self.generator.window_size
        tile = min(self.tile or longest, longest) // 2 // window * window
        if self.generator.whole or tile < max(_SMALLEST_TILE, window):
            raise DataError(f"out of memory ({shorten_error(error)}); smaller tiles are of no help") from error
        self.tile, self.overlap = tile, min(self.overlap, tile // 2, tile - window) or fit_overlap(tile, window)
        print(f"Out of memory: going on with --tile {tile} --overlap {self.overlap}", file=sys.stderr, flush=True)

    def _run_network(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return the network's output, rounded to the type of `values`; only one row of tiles is held in float32."""
        scale, top = self.generator.scale, np.iinfo(values.dtype).max
        height, width, channels = values.shape
        rgb = np.repeat(values, 3, axis=2) if channels == 1 else values
        # torch has few operations for uint16: it becomes float by numpy
        image = torch.from_numpy(rgb.transpose(2, 0, 1)[None].astype(np.float32, order="C")).div_(float(top))
        image = pad_to_windows(image, self.generator.window_size)
        result = np.empty((height * scale, width * scale, channels), values.dtype)
        enlarge = partial(self._check_output, self.generator.look_at_whole(image))
        bands = blend_rows(enlarge, image, scale, self.tile, self.overlap, self.generator.window_size)
        for first, band in bands:
            rows = band[:, : max(result.shape[0] - first, 0), : result.shape[1]]
            levels = (rows.mean(0, keepdim=True) if channels == 1 else rows).clamp_(0, 1).mul_(float(top)).round_()
            result[first : first + levels.shape[1]] = levels.permute(1, 2, 0).numpy()
        return result

    def _check_output(self, generator: Generator, tile: Tensor) -> Tensor:
        output = generator(tile)
        if not bool(output.isfinite().all()):
            hint = "" if self.generator.precision == "fp32" else "; try --precision bf16 or fp32"
            raise DataError(f"the network's output is not finite in {self.generator.precision}{hint}")
        return output


def fill_transparent(colour: NDArray[Any], alpha: NDArray[Any]) -> NDArray[Any]:
    """Give pixels (H, W, C) where alpha (H, W) is 0 the colour of the nearest visible pixel.

    What lies under full transparency is mostly black; the network would draw it into the edge of what is seen.

    Example:
        >>> fill_transparent(np.array([[[9], [0], [0]]]), np.array([[255, 0, 0]])).tolist()
        [[[9], [9], [9]]]
    """
    hidden = alpha == 0
    if not hidden.any() or hidden.all():
        return colour
    rows, columns = distance_transform_edt(hidden, return_distances=False, return_indices=True)
    return colour[rows, columns]


def enlarge_bicubic(values: NDArray[Any], scale: int) -> NDArray[Any]:
    """Enlarge (H, W) integers by Keys' cubic (a = -1/2), rounded and clipped; at the border as Pillow does it."""
    height, width = values.shape
    image = Image.fromarray(values.astype(np.float32))
    large = np.asarray(image.resize((width * scale, height * scale), Image.Resampling.BICUBIC))
    return np.rint(large).clip(0, np.iinfo(values.dtype).max).astype(values.dtype)


def _format_size(values: NDArray[Any]) -> str:
    return f"{values.shape[1]}x{values.shape[0]} pixels"
