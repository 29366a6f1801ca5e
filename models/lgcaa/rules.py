"""What has to agree in an option file of LGCAA: network, losses, precision, cached latents."""

from collections.abc import Iterator, Mapping
from typing import Any

from prismsr.utils.options.entries import find_registered
from prismsr.utils.options.problems import Problem, join
from prismsr.utils.options.schema import TrainOptions

NETWORK, MODEL = "LGCAANet", "LGCAAModel"
ON_ALEXNET = ("AlexNetFeatureLoss", "LPIPSLoss")
"""Losses that compare X_RGB by an AlexNet, whatever their backbone."""
REDUCED = ("down", "multiscale")
"""Heads with an X_RGB as small as c_f."""


def lgcaa(opt: Mapping[str, Any], is_train: bool, schema: type[TrainOptions] | None) -> Iterator[Problem]:
    """LGCAANet's sections; its model; X_RGB's head and the losses on X_RGB; frozen weights in half precision."""
    network = _mapping(opt.get("network_g"))
    ours = network.get("type") == NETWORK
    if ours != (opt.get("model_type") == MODEL):
        yield Problem("model_type", f"{MODEL} and network_g of type {NETWORK} go together")
    if not ours:
        return
    from prismsr.archs.lgcaa.options import section_problems  # which itself needs this package's option checks

    yield from section_problems(network, "network_g")
    yield from _half_precision(opt, is_train, _mapping(network.get("base")).get("frozen_dtype", "float32"))
    if is_train:
        yield from _rgb(opt, network)
        yield from _crops_for_vae(opt, network)
        yield from _crops_for_alexnet(opt, network)
        yield from _latents(opt)
        yield from _unsupported(opt)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _half_precision(opt: Mapping[str, Any], is_train: bool, dtype: Any) -> Iterator[Problem]:
    if dtype == "float32":
        return
    needed = {"val.sampling.amp": _mapping(_mapping(opt.get("val")).get("sampling")).get("amp")}
    if is_train:
        needed["train.amp"] = _mapping(opt.get("train")).get("amp")
    for key, value in needed.items():
        if value is None:
            yield Problem(key, f"is required with network_g.base.frozen_dtype {dtype}")


def _rgb(opt: Mapping[str, Any], network: Mapping[str, Any]) -> Iterator[Problem]:
    losses = _mapping(_mapping(opt.get("train")).get("losses"))
    entries = {name: _mapping(entry) for name, entry in losses.items() if entry is not None}
    found = {name: find_registered("loss", str(entry.get("type"))) for name, entry in entries.items()}
    users = [name for name, loss in found.items() if "x_rgb" in getattr(loss, "inputs", ())]
    head = network.get("rgb", "pixelshuffle")
    if users and head is None:
        yield Problem(join("train.losses", users[0]), "asks for X_RGB, and network_g.rgb is null")
    if not users and head is not None:
        yield Problem(
            "network_g.rgb", "must be null (~): no loss asks for X_RGB, so that its head would not be trained"
        )
    if not any("noise_prediction" in getattr(loss, "inputs", ()) for loss in found.values()):
        yield Problem("train.losses", "needs a NoiseLoss, which trains the network")


def _crop(opt: Mapping[str, Any]) -> tuple[str, int | None]:
    """Key and side of the GT crops that a step sees; None where the file does not say it, or wrongly."""
    place, section = "degradation", opt.get("degradation")
    if section is None:
        place, section = "datasets.train", _mapping(opt.get("datasets")).get("train")
    size = _mapping(section).get("gt_size")
    return join(place, "gt_size"), size if isinstance(size, int) else None


def _crops_for_vae(opt: Mapping[str, Any], network: Mapping[str, Any]) -> Iterator[Problem]:
    key, size = _crop(opt)
    factor = _factor(_mapping(network.get("base")))
    if size is not None and size % factor:
        yield Problem(key, f"must be a multiple of {factor}, by which the VAE reduces; got {size}")


def _crops_for_alexnet(opt: Mapping[str, Any], network: Mapping[str, Any]) -> Iterator[Problem]:
    from prismsr.archs.alexnet_features_arch import MIN_SIDE

    losses = _mapping(_mapping(opt.get("train")).get("losses"))
    users = [name for name, entry in losses.items() if _mapping(entry).get("type") in ON_ALEXNET]
    key, size = _crop(opt)
    head = network.get("rgb", "pixelshuffle")
    factor = _factor(_mapping(network.get("base"))) if head in REDUCED else 1
    if users and head is not None and size is not None and size < MIN_SIDE * factor:
        share = f"1/{factor} of the crop with network_g.rgb {head}" if factor > 1 else "as large as the crop"
        yield Problem(
            key,
            f"must be at least {MIN_SIDE * factor}: train.losses.{users[0]} shows X_RGB, {share}, to AlexNet, which "
            f"needs {MIN_SIDE} x {MIN_SIDE} pixels{'; or set rgb to pixelshuffle' if factor > 1 else ''}; got {size}",
        )


def _factor(base: Mapping[str, Any]) -> int:
    """By how much E, and the VAE, which has to agree with it, reduce the sides; 1 where a file of weights says it."""
    from prismsr.archs.lgcaa.options import BaseOptions

    widths = base.get("condition_channels", BaseOptions.model_fields["condition_channels"].default)
    known = isinstance(widths, list) and base.get("controlnet_path") is None
    return 2 ** (len(widths) - 1) if known else 1


def _unsupported(opt: Mapping[str, Any]) -> Iterator[Problem]:
    for key, value in opt.items():
        if key.startswith("network_d") and value is not None:
            yield Problem(key, f"{MODEL} trains without a discriminator: set it to null (~)")


def _latents(opt: Mapping[str, Any]) -> Iterator[Problem]:
    dataset = _mapping(_mapping(opt.get("datasets")).get("train"))
    if dataset.get("dataroot_latents") is None:
        return
    for key in ("use_hflip", "use_rot"):
        if dataset.get(key):
            yield Problem(join("datasets.train", key), "must be false with cached latents, which are not augmented")
