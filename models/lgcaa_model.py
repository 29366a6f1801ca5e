"""LGCAA in BasicSR's trainer: Stable Diffusion 2 with ControlNet, trained on noise, DPACM, and decoded images.

Paper: LGCAA, eq. 4.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from prismsr.archs.latent.sampling.enlarged_image import enlarge
from prismsr.models.latent_model import LatentModel
from prismsr.models.lgcaa.check import check_lgcaa
from prismsr.models.lgcaa.options import LGCAATrainOptions
from prismsr.models.step.batch_parts import Batch
from prismsr.utils.full_precision import widen

from basicsr.utils.registry import MODEL_REGISTRY
from torch import Tensor


@MODEL_REGISTRY.register()
class LGCAAModel(LatentModel):
    """LatentModel whose `network_g` is an LGCAANet; loss terms may ask for "x_rgb", DPACM's images, too."""

    OPTIONS: ClassVar = LGCAATrainOptions
    HANDS: ClassVar[Mapping[str, str]] = {
        **LatentModel.HANDS,
        **dict.fromkeys(("noise_prediction", "noise", "x_rgb"), ""),
    }
    check_options = staticmethod(check_lgcaa)

    def _predict(self, z_t: Tensor, part: Batch) -> tuple[Tensor, dict[str, Any]]:
        lr_up = enlarge(part["lq"], part["gt"].shape[-2:])
        prediction, x_rgb = self.net_g(z_t, part["timesteps"], lr_up, part["lq"])
        return prediction, {"x_rgb": None if x_rgb is None else [widen(image) for image in x_rgb]}
