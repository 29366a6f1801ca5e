"""LGCAA in BasicSR's trainer: Stable Diffusion 2 with ControlNet, trained on noise, DPACM, and decoded images.

Paper: LGCAA, eq. 4.
"""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from prismsr.archs.latent.options import fill_defaults
from prismsr.archs.latent.sampling.enlarged_image import enlarge
from prismsr.archs.lgcaa.lgcaa_arch import LGCAANet
from prismsr.archs.lgcaa.options import BaseOptions
from prismsr.models.latent.check import check_crop_multiple, check_precision, read_crop_size
from prismsr.models.latent.options import options_for
from prismsr.models.latent_model import LatentModel
from prismsr.models.step.batch_parts import Batch
from prismsr.utils.full_precision import widen
from prismsr.utils.loss_inputs import input_names
from prismsr.utils.options.named import Named, named_losses
from prismsr.utils.options.problems import Problem
from prismsr.utils.options.sections import Opt

from basicsr.utils.registry import MODEL_REGISTRY
from torch import Tensor

REDUCED = ("down", "multiscale")
"""Heads with an X_RGB as small as c_f."""


@MODEL_REGISTRY.register()
class LGCAAModel(LatentModel):
    """LatentModel whose `network_g` is an LGCAANet; loss terms may ask for "x_rgb", DPACM's images, too."""

    NETWORK: ClassVar = LGCAANet
    OPTIONS: ClassVar = options_for(LGCAANet)
    HANDS: ClassVar[Mapping[str, str]] = {
        **LatentModel.HANDS,
        **dict.fromkeys(("noise_prediction", "noise", "x_rgb"), ""),
    }

    @classmethod
    def check_network(cls, network: Mapping[str, Any], opt: Opt, is_train: bool) -> Iterator[Problem]:
        """Check precision, crops and the head of X_RGB."""
        base = fill_defaults(BaseOptions, network["base"])
        yield from check_precision(opt, is_train, base.frozen_dtype)
        if is_train:
            losses = list(named_losses(opt))
            yield from _check_users(losses, network["rgb"])
            yield from check_crop_multiple(opt, _factor(base), "by which the VAE reduces")
            yield from _check_head(opt, losses, network["rgb"], _factor(base))

    def _predict(self, z_t: Tensor, part: Batch) -> tuple[Tensor, dict[str, Any]]:
        lr_up = enlarge(part["lq"], part["gt"].shape[-2:])
        prediction, x_rgb = self.net_g(z_t, part["timesteps"], lr_up, part["lq"])
        return prediction, {"x_rgb": None if x_rgb is None else [widen(image) for image in x_rgb]}


def _check_users(losses: list[Named], head: str | None) -> Iterator[Problem]:
    """Check that X_RGB is there where a loss asks for it, and only there."""
    users = [loss.key for loss in losses if "x_rgb" in input_names(loss.target)]
    if users and head is None:
        yield Problem(users[0], "asks for X_RGB, and network_g.rgb is null")
    if not users and head is not None:
        text = "must be null (~): no loss asks for X_RGB, so that its head would not be trained"
        yield Problem("network_g.rgb", text)


def _check_head(opt: Mapping[str, Any], losses: list[Named], head: str | None, factor: int) -> Iterator[Problem]:
    key, size = read_crop_size(opt)
    if size is None or head is None:
        return
    reduced = factor if head in REDUCED else 1
    for loss in losses:
        side = getattr(loss.target, "MIN_SIDE", 1)
        if size < side * reduced:
            share = f"1/{factor} of the crop with network_g.rgb {head}" if reduced > 1 else "as large as the crop"
            yield Problem(
                key,
                f"must be at least {side * reduced}: {loss.key} shows a network X_RGB, {share}, and it needs {side} x "
                f"{side} pixels{'; or set rgb to pixelshuffle' if reduced > 1 else ''}; got {size}",
            )


def _factor(base: BaseOptions) -> int:
    """Return by how much E and the VAE, which must agree, reduce the sides; 1 where a file of weights says it."""
    widths = base.condition_channels
    return 2 ** (len(widths) - 1) if isinstance(widths, list) and base.controlnet_path is None else 1
