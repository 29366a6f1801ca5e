"""ResShift in BasicSR's trainer: a latent shifted to that of the LR image, and losses on decoded images.

Paper: SSL, table 2, ResShift.
"""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from prismsr.archs.latent.sampling.enlarged_image import enlarge
from prismsr.archs.resshift.options import latent_multiple, vq_factor
from prismsr.archs.resshift.resshift_arch import ResShiftNet
from prismsr.models.latent.check import check_crop_multiple
from prismsr.models.latent.options import options_for
from prismsr.models.latent_model import LatentModel
from prismsr.models.step.batch_parts import Batch
from prismsr.utils.options.problems import Problem
from prismsr.utils.options.sections import Opt, section

import torch
from basicsr.utils.registry import MODEL_REGISTRY
from torch import Tensor


@MODEL_REGISTRY.register()
class ResShiftModel(LatentModel):
    """LatentModel whose `network_g` is a ResShiftNet: it predicts the clean latent, "latent_prediction" of "latent".

    The gradient of losses on "sr" passes decoder and codebook, which are frozen, and reaches the UNet alone.
    """

    NETWORK: ClassVar = ResShiftNet
    LOSS: ClassVar = "LatentLoss"
    OPTIONS: ClassVar = options_for(ResShiftNet)
    HANDS: ClassVar[Mapping[str, str]] = {**LatentModel.HANDS, **dict.fromkeys(("latent_prediction", "latent"), "")}
    TAKES_ENLARGED_LQ: ClassVar = False  # LR images have the size of the latents

    @classmethod
    def check_network(cls, network: Mapping[str, Any], opt: Opt, is_train: bool) -> Iterator[Problem]:
        """Check tiles and crops, whose latents are whole windows."""
        multiple = latent_multiple(network)
        tile = section(opt, "val", "sampling").get("tile")
        if multiple and isinstance(tile, int) and tile % multiple:
            reason = "the windows of the deepest level of its UNet"
            yield Problem("val.sampling.tile", f"must be a multiple of {multiple}, {reason}; got {tile}")
        if is_train and multiple:
            pixels = multiple * vq_factor(network)
            yield from check_crop_multiple(opt, pixels, "windows at the deepest level of the UNet, in pixels")

    @torch.no_grad()
    def _latents(self, net: Any, part: Batch) -> Tensor:
        return net.encode(part["gt"])

    def _condition(self, net: Any, part: Batch) -> Batch:
        return {"lq_latents": net.encode(enlarge(part["lq"], part["gt"].shape[-2:], clamp=False))}

    def _predict(self, z_t: Tensor, part: Batch) -> tuple[Tensor, dict[str, Any]]:
        return self.net_g(z_t, part["timesteps"], part["lq"]), {}

    def _decode(self, net: Any, latents: Tensor) -> Tensor:
        return net.decode(latents)
