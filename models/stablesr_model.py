"""StableSR in BasicSR's trainer: modulated norms and a time-aware encoder learn to predict the noise of latents.

Paper: SSL, table 2, StableSR (arXiv 2305.07015).
"""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from prismsr.archs.latent.options import fill_defaults
from prismsr.archs.latent.sampling.enlarged_image import enlarge
from prismsr.archs.latent.stable_diffusion import posterior_moments
from prismsr.archs.stablesr.options import BaseOptions, StructOptions
from prismsr.archs.stablesr.stablesr_arch import StableSRNet
from prismsr.models.latent.check import check_crop_multiple, check_precision
from prismsr.models.latent.options import options_for
from prismsr.models.latent_model import LatentModel
from prismsr.models.step.batch_parts import Batch
from prismsr.utils.options.problems import Problem
from prismsr.utils.options.sections import Opt, section

from basicsr.utils.registry import MODEL_REGISTRY
from torch import Tensor

SD_FACTOR = 8


@MODEL_REGISTRY.register()
class StableSRModel(LatentModel):
    """LatentModel whose `network_g` is a StableSRNet."""

    NETWORK: ClassVar = StableSRNet
    OPTIONS: ClassVar = options_for(StableSRNet)
    HANDS: ClassVar[Mapping[str, str]] = {**LatentModel.HANDS, **dict.fromkeys(("noise_prediction", "noise"), "")}

    @classmethod
    def check_network(cls, network: Mapping[str, Any], opt: Opt, is_train: bool) -> Iterator[Problem]:
        """Check precision, crops and feature wrapping."""
        base = fill_defaults(BaseOptions, network["base"])
        yield from check_precision(opt, is_train, base.frozen_dtype)
        if section(opt, "val", "sampling").get("cfw_weight") and not network["cfw"]:
            yield Problem("val.sampling.cfw_weight", "needs the file of the feature wrapping, network_g.cfw")
        if is_train:
            multiple = _factor(base) * 2 ** (len(fill_defaults(StructOptions, network["struct"]).mult) - 1)
            yield from check_crop_multiple(opt, multiple, "by which VAE and UNet reduce together")

    def _condition(self, net: Any, part: Batch) -> Batch:
        moments = posterior_moments(net.vae, enlarge(part["lq"], part["gt"].shape[-2:]))
        return {"lq_latents": net.sample_lr(moments, part.get("lq_posterior"))}

    def _predict(self, z_t: Tensor, part: Batch) -> tuple[Tensor, dict[str, Any]]:
        return self.net_g(z_t, part["timesteps"], part["lq_latents"]), {}


def _factor(base: BaseOptions) -> int:
    """Return by how much the VAE reduces; 1 where a folder of another one says it."""
    if base.vae_path is not None:
        return 1
    widths = base.vae.get("block_out_channels")
    return 2 ** (len(widths) - 1) if isinstance(widths, list) else SD_FACTOR
