"""Check what has to agree in an option file of LGCAAModel: network, losses, precision, crops."""

from collections.abc import Iterator, Mapping
from typing import Any

from prismsr.archs.latent.options import fill_defaults
from prismsr.archs.lgcaa.lgcaa_arch import LGCAANet
from prismsr.archs.lgcaa.options import BaseOptions
from prismsr.data.degradation.real_esrgan import check_lq_source
from prismsr.models.latent.check import (
    check_crop_multiple,
    check_no_discriminators,
    check_precision,
    check_prediction_loss,
    read_crop_size,
    read_network,
)
from prismsr.utils.loss_inputs import input_names
from prismsr.utils.options.named import Named, named_losses
from prismsr.utils.options.problems import Problem
from prismsr.utils.options.sections import Opt

REDUCED = ("down", "multiscale")
"""Heads with an X_RGB as small as c_f."""


def check_lgcaa(entry: Opt, key: str, opt: Opt, is_train: bool) -> Iterator[Problem]:
    """Yield what does not agree; the hook `check_options` of LGCAAModel."""
    yield from check_lq_source(entry, key, opt, is_train)
    network = read_network(opt, LGCAANet)
    if isinstance(network, Problem):
        yield network
        return
    base = fill_defaults(BaseOptions, network["base"])
    yield from check_precision(opt, is_train, base.frozen_dtype)
    if is_train:
        losses = list(named_losses(opt))
        yield from _check_losses(losses, network["rgb"])
        yield from check_crop_multiple(opt, _factor(base), "by which the VAE reduces")
        yield from _check_head(opt, losses, network["rgb"], _factor(base))
        yield from check_no_discriminators(opt)


def _check_losses(losses: list[Named], head: str | None) -> Iterator[Problem]:
    """Check that the noise is learnt, and that X_RGB is there where a loss asks for it, and only there."""
    users = [loss.key for loss in losses if "x_rgb" in input_names(loss.target)]
    if users and head is None:
        yield Problem(users[0], "asks for X_RGB, and network_g.rgb is null")
    if not users and head is not None:
        yield Problem(
            "network_g.rgb", "must be null (~): no loss asks for X_RGB, so that its head would not be trained"
        )
    yield from check_prediction_loss(losses, "noise", "NoiseLoss")


def _check_head(opt: Mapping[str, Any], losses: list[Named], head: str | None, factor: int) -> Iterator[Problem]:
    """Check that X_RGB is large enough for the losses."""
    key, size = read_crop_size(opt)
    if size is None:
        return
    reduced = factor if head in REDUCED else 1
    for loss in losses if head is not None else ():
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
