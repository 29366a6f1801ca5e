"""Check what has to agree in an option file of StableSRModel: network, losses, precision, crops, feature wrapping."""

from collections.abc import Iterator

from prismsr.archs.latent.options import fill_defaults
from prismsr.archs.stablesr.options import BaseOptions, StructOptions
from prismsr.archs.stablesr.stablesr_arch import StableSRNet
from prismsr.data.degradation.real_esrgan import check_lq_source
from prismsr.models.latent.check import (
    check_crop_multiple,
    check_no_discriminators,
    check_precision,
    check_prediction_loss,
    read_network,
)
from prismsr.utils.options.named import named_losses
from prismsr.utils.options.problems import Problem
from prismsr.utils.options.sections import Opt, section

SD_FACTOR = 8


def check_stablesr(entry: Opt, key: str, opt: Opt, is_train: bool) -> Iterator[Problem]:
    """Yield what does not agree; the hook `check_options` of StableSRModel."""
    yield from check_lq_source(entry, key, opt, is_train)
    network = read_network(opt, StableSRNet)
    if isinstance(network, Problem):
        yield network
        return
    base = fill_defaults(BaseOptions, network["base"])
    yield from check_precision(opt, is_train, base.frozen_dtype)
    if section(opt, "val", "sampling").get("cfw_weight") and not network["cfw"]:
        yield Problem("val.sampling.cfw_weight", "needs the file of the feature wrapping, network_g.cfw")
    if is_train:
        yield from check_prediction_loss(list(named_losses(opt)), "noise", "NoiseLoss")
        multiple = _factor(base) * 2 ** (len(fill_defaults(StructOptions, network["struct"]).mult) - 1)
        yield from check_crop_multiple(opt, multiple, "by which VAE and UNet reduce together")
        yield from check_no_discriminators(opt)


def _factor(base: BaseOptions) -> int:
    """Return by how much the VAE reduces; 1 where a folder of another one says it."""
    if base.vae_path is not None:
        return 1
    widths = base.vae.get("block_out_channels")
    return 2 ** (len(widths) - 1) if isinstance(widths, list) else SD_FACTOR
