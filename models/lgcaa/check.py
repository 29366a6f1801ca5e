"""Check what has to agree in an option file of LGCAAModel: network, losses, precision, crops."""

from collections.abc import Iterator, Mapping
from typing import Any

from prismsr.archs.lgcaa.lgcaa_arch import LGCAANet
from prismsr.archs.lgcaa.options import BaseOptions, fill_defaults
from prismsr.data.degradation.real_esrgan import check_lq_source
from prismsr.utils.loss_inputs import input_names
from prismsr.utils.options.entries import find_registered
from prismsr.utils.options.named import Named, complete_arguments, named_losses
from prismsr.utils.options.problems import Problem, join
from prismsr.utils.options.sections import Opt, section

REDUCED = ("down", "multiscale")
"""Heads with an X_RGB as small as c_f."""


def check_lgcaa(entry: Opt, key: str, opt: Opt, is_train: bool) -> Iterator[Problem]:
    """Yield what does not agree; the hook `check_options` of LGCAAModel."""
    yield from check_lq_source(entry, key, opt, is_train)
    kind = find_registered("arch", str(section(opt, "network_g").get("type")))
    if not (isinstance(kind, type) and issubclass(kind, LGCAANet)):
        yield Problem("model_type", f"LGCAAModel and network_g of type {LGCAANet.__name__} go together")
        return
    network = complete_arguments(kind, section(opt, "network_g"))
    base = fill_defaults(BaseOptions, network["base"])
    yield from _check_precision(opt, is_train, base.frozen_dtype)
    if is_train:
        losses = list(named_losses(opt))
        yield from _check_losses(losses, network["rgb"])
        yield from _check_crops(opt, losses, network["rgb"], _factor(base))
        for name in (str(name) for name in opt if str(name).startswith("network_d") and opt[name] is not None):
            yield Problem(name, "LGCAAModel trains without a discriminator: set it to null (~)")


def _check_precision(opt: Mapping[str, Any], is_train: bool, dtype: str) -> Iterator[Problem]:
    """Check that frozen weights in half precision meet activations in half precision."""
    places = (("val", "sampling"), ("train",)) if is_train else (("val", "sampling"),)
    for place in places if dtype != "float32" else ():
        if section(opt, *place).get("amp") is None:
            yield Problem(join(*place, "amp"), f"is required with network_g.base.frozen_dtype {dtype}")


def _check_losses(losses: list[Named], head: str | None) -> Iterator[Problem]:
    """Check that the noise is learnt, and that X_RGB is there where a loss asks for it, and only there."""
    users = [loss.key for loss in losses if "x_rgb" in input_names(loss.target)]
    if users and head is None:
        yield Problem(users[0], "asks for X_RGB, and network_g.rgb is null")
    if not users and head is not None:
        yield Problem(
            "network_g.rgb", "must be null (~): no loss asks for X_RGB, so that its head would not be trained"
        )
    if not any("noise_prediction" in input_names(loss.target) for loss in losses):
        yield Problem("train.losses", "needs a NoiseLoss, which trains the network")


def _check_crops(opt: Mapping[str, Any], losses: list[Named], head: str | None, factor: int) -> Iterator[Problem]:
    """Check that the VAE divides the GT crops that a step sees, and that X_RGB is large enough for the losses."""
    place = ("datasets", "train") if opt.get("degradation") is None else ("degradation",)
    key, size = join(*place, "gt_size"), section(opt, *place).get("gt_size")
    if not isinstance(size, int):
        return
    if size % factor:
        yield Problem(key, f"must be a multiple of {factor}, by which the VAE reduces; got {size}")
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
