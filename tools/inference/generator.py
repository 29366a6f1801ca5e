"""Generators for inference and export: a network with its weights, its device and its precision."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from prismsr.tools.inference.defaults import PRECISIONS
from prismsr.tools.inference.generator_files import Built, build_from_options, build_from_weights
from prismsr.tools.inference.sampled_generator import build_from_sampling_options, is_sampled
from prismsr.utils.devices import find_device
from prismsr.utils.errors import UserError
from prismsr.utils.padding import pad_to_windows
from prismsr.utils.weights.spandrel import ParamKey

import torch
from basicsr.utils.color_util import rgb2ycbcr_pt
from torch import Tensor
from torch.nn import functional as F

DTYPES = dict(zip(PRECISIONS, (torch.float32, torch.float16, torch.bfloat16), strict=True))
WEIGHT_SUFFIXES = (".pth", ".pt", ".ckpt", ".safetensors")
OPTION_SUFFIXES = (".yml", ".yaml")


class GeneratorError(UserError, ValueError):
    """A generator cannot be used as asked; the message says why and what to do."""


@dataclass(eq=False)
class Generator(Built):
    """A network that enlarges images, on its device, in a precision that the settings name.

    `source` are the arguments of `load_generator` that made it, for loading it again elsewhere; empty where none did.
    """

    device: torch.device = torch.device("cpu")  # noqa: RUF009  (it is immutable)
    precision: str = "fp32"
    source: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.settings = {**self.settings, "precision": self.precision}

    @torch.inference_mode()
    def __call__(self, image: Tensor) -> Tensor:
        """Enlarge one image.

        Args:
            image: (1, 3, h, w) RGB in [0, 1], on any device, of any size.

        Returns:
            (1, 3, scale * h, scale * w) float32 on the generator's device, not clipped.
        """
        height, width = image.shape[-2:]
        image = pad_to_windows(image.to(self.device, torch.float32), self.window_size)
        if self.luma:
            output = self._enlarge_luma(image)
        elif self.channels == 1:
            output = self._run(image.transpose(0, 1)).transpose(0, 1)
        else:
            output = self._run(image)
        return output[..., : height * self.scale, : width * self.scale].float()

    @torch.inference_mode()
    def look_at_whole(self, image: Tensor) -> "Generator":
        """Return the generator for tiles of this image, (1, 3, h, w) RGB in [0, 1], mirrored to its window.

        A network with the hook `look_at_whole(image)` tells once what each tile is to know of the whole.
        """
        look = getattr(getattr(self.net, "model", self.net), "look_at_whole", None)  # spandrel's descriptor holds it
        if look is None:
            return self
        with self._autocast():
            return replace(self, net=look(image.to(self.device, torch.float32)))

    def _run(self, image: Tensor) -> Tensor:
        with self._autocast():
            return self.net(image)

    def _autocast(self) -> torch.autocast:
        dtype = DTYPES[self.precision]
        return torch.autocast(self.device.type, dtype, enabled=dtype != torch.float32)

    def _enlarge_luma(self, image: Tensor) -> Tensor:
        """Change the luma of the image enlarged by bicubic to that of the network; Cb and Cr stay what they are."""
        large = F.interpolate(image, scale_factor=self.scale, mode="bicubic")
        change = self._run(rgb2ycbcr_pt(image, y_only=True)).float() - rgb2ycbcr_pt(large, y_only=True)
        return large + change * (255 / 219)  # Y spans 219 of 255 levels


def load_generator(
    model: str | Path,
    weights: str | Path | None = None,
    param_key: ParamKey = "auto",
    device: str | torch.device = "auto",
    precision: str = "fp32",
    root: str | Path = ".",
) -> Generator:
    """Load a generator for inference. No code is run from any file.

    Args:
        model: an option file, whose `network_g` is built; or weights (.pth, .pt, .ckpt, .safetensors) of a network that
            spandrel recognises.
        weights: checkpoint for an option file. Default: experiments/NAME/models/net_g_latest of the file's experiment;
            for a file without `train` its path.pretrain_network_g.
        param_key: which network of the checkpoint; auto: params_ema where there is one, else params or what there is.
        device: see `prismsr.utils.devices.find_device`.
        precision: fp32, or fp16 or bf16 by autocast; LGCAA has `val.sampling.amp` instead.
        root: folder that holds experiments/, where relative paths of the option file start.

    Raises:
        OptionError: the option file or its network_g is wrong.
        WeightsError: the weights are missing, damaged, of an unknown network, or do not fit.
        GeneratorError: the device, precision or kind of file cannot be used.
    """
    place = find_device(str(device))
    built = _build(Path(model), None if weights is None else Path(weights), param_key, Path(root))
    if precision not in PRECISIONS or precision not in built.precisions:
        raise GeneratorError(f"precision {precision}: allowed for {built.name}: {', '.join(built.precisions)}")
    net: Any = built.net  # both torch modules and spandrel's descriptors move themselves
    net.to(place)
    source = {"model": model, "weights": weights, "param_key": param_key, "precision": precision, "root": root}
    return Generator(**vars(built), device=place, precision=precision, source=source)


def _build(file: Path, weights: Path | None, param_key: ParamKey, root: Path) -> Built:
    suffix = file.suffix.lower()
    if suffix in OPTION_SUFFIXES:
        return (build_from_sampling_options if is_sampled(file) else build_from_options)(file, weights, param_key, root)
    if suffix not in WEIGHT_SUFFIXES:
        allowed = ", ".join((*OPTION_SUFFIXES, *WEIGHT_SUFFIXES))
        raise GeneratorError(f"{file}: is neither an option file nor weights; allowed: {allowed}")
    if weights is not None:
        raise GeneratorError(f"{file} holds weights itself; --weights {weights} belongs to an option file")
    return build_from_weights(file, param_key)
