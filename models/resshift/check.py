"""Check what has to agree in an option file of ResShiftModel: network, losses, crops, tiles."""

from collections.abc import Iterator

from prismsr.archs.resshift.options import latent_multiple, vq_factor
from prismsr.archs.resshift.resshift_arch import ResShiftNet
from prismsr.data.degradation.real_esrgan import check_lq_source
from prismsr.models.latent.check import (
    check_crop_multiple,
    check_no_discriminators,
    check_prediction_loss,
    read_network,
)
from prismsr.utils.options.named import named_losses
from prismsr.utils.options.problems import Problem
from prismsr.utils.options.sections import Opt, section


def check_resshift(entry: Opt, key: str, opt: Opt, is_train: bool) -> Iterator[Problem]:
    """Yield what does not agree; the hook `check_options` of ResShiftModel."""
    yield from check_lq_source(entry, key, opt, is_train)
    network = read_network(opt, ResShiftNet)
    if isinstance(network, Problem):
        yield network
        return
    multiple = latent_multiple(network)
    tile = section(opt, "val", "sampling").get("tile")
    if multiple and isinstance(tile, int) and tile % multiple:
        reason = "the windows of the deepest level of its UNet"
        yield Problem("val.sampling.tile", f"must be a multiple of {multiple}, {reason}; got {tile}")
    if is_train:
        yield from check_prediction_loss(list(named_losses(opt)), "latent", "LatentLoss")
        if multiple:
            pixels = multiple * vq_factor(network)
            yield from check_crop_multiple(opt, pixels, "windows at the deepest level of the UNet, in pixels")
        yield from check_no_discriminators(opt)
