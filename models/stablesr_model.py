"""StableSR in BasicSR's trainer: modulated norms and a time-aware encoder learn to predict the noise of latents.

Paper: SSL, table 2, StableSR (arXiv 2305.07015).
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from prismsr.archs.latent.sampling.enlarged_image import enlarge
from prismsr.archs.latent.stable_diffusion import posterior_moments
from prismsr.models.latent_model import LatentModel
from prismsr.models.stablesr.check import check_stablesr
from prismsr.models.stablesr.options import StableSRTrainOptions
from prismsr.models.step.batch_parts import Batch

from basicsr.utils.registry import MODEL_REGISTRY
from torch import Tensor


@MODEL_REGISTRY.register()
class StableSRModel(LatentModel):
    """LatentModel whose `network_g` is a StableSRNet."""

    OPTIONS: ClassVar = StableSRTrainOptions
    HANDS: ClassVar[Mapping[str, str]] = {**LatentModel.HANDS, **dict.fromkeys(("noise_prediction", "noise"), "")}
    check_options = staticmethod(check_stablesr)

    def _condition(self, net: Any, part: Batch) -> Batch:
        moments = posterior_moments(net.vae, enlarge(part["lq"], part["gt"].shape[-2:]))
        return {"lq_latents": net.sample_lr(moments, part.get("lq_posterior"))}

    def _predict(self, z_t: Tensor, part: Batch) -> tuple[Tensor, dict[str, Any]]:
        return self.net_g(z_t, part["timesteps"], part["lq_latents"]), {}
