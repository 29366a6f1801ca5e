"""ResShift in BasicSR's trainer: a latent shifted to that of the LR image, and losses on decoded images.

Paper: SSL, table 2, ResShift.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from prismsr.archs.latent.sampling.enlarged_image import enlarge
from prismsr.models.latent_model import LatentModel
from prismsr.models.resshift.check import check_resshift
from prismsr.models.resshift.options import ResShiftTrainOptions
from prismsr.models.step.batch_parts import Batch

import torch
from basicsr.utils.registry import MODEL_REGISTRY
from torch import Tensor


@MODEL_REGISTRY.register()
class ResShiftModel(LatentModel):
    """LatentModel whose `network_g` is a ResShiftNet: it predicts the clean latent, "latent_prediction" of "latent".

    The gradient of losses on "sr" passes decoder and codebook, which are frozen, and reaches the UNet alone.
    """

    OPTIONS: ClassVar = ResShiftTrainOptions
    HANDS: ClassVar[Mapping[str, str]] = {
        **LatentModel.HANDS,
        **dict.fromkeys(("latent_prediction", "latent"), ""),
    }
    TAKES_ENLARGED_LQ: ClassVar = False  # LR images have the size of the latents
    check_options = staticmethod(check_resshift)

    @torch.no_grad()
    def _latents(self, net: Any, part: Batch) -> Tensor:
        latents: Tensor = net.encode(part["gt"])
        return latents

    def _condition(self, net: Any, part: Batch) -> Batch:
        return {"lq_latents": net.encode(enlarge(part["lq"], part["gt"].shape[-2:], clamp=False))}

    def _predict(self, z_t: Tensor, part: Batch) -> tuple[Tensor, dict[str, Any]]:
        return self.net_g(z_t, part["timesteps"], part["lq"]), {}

    def _decode(self, net: Any, latents: Tensor) -> Tensor:
        images: Tensor = net.decode(latents)
        return images
