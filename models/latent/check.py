"""Check what has to agree in an option file of a latent model: network, precision, crops, losses."""

from collections.abc import Iterator, Mapping
from typing import Any

from prismsr.archs.latent.latent_network import LatentNetwork
from prismsr.utils.loss_inputs import input_names
from prismsr.utils.options.entries import find_registered
from prismsr.utils.options.named import complete_arguments, named_losses
from prismsr.utils.options.problems import Problem, join
from prismsr.utils.options.sections import Opt, section


def read_network(opt: Opt, kind: type[LatentNetwork]) -> Mapping[str, Any] | Problem:
    """Return network_g's arguments with defaults, or what is wrong where its type is not `kind`."""
    found = find_registered("arch", str(section(opt, "network_g").get("type")))
    if isinstance(found, type) and issubclass(found, kind):
        return complete_arguments(found, section(opt, "network_g"))
    return Problem("model_type", f"{kind.MODEL} and network_g of type {kind.__name__} go together")


def check_precision(opt: Mapping[str, Any], is_train: bool, dtype: str) -> Iterator[Problem]:
    """Check that frozen weights in half precision meet activations in half precision."""
    places = (("val", "sampling"), ("train",)) if is_train else (("val", "sampling"),)
    for place in places if dtype != "float32" else ():
        if section(opt, *place).get("amp") is None:
            yield Problem(join(*place, "amp"), f"is required with network_g.base.frozen_dtype {dtype}")


def check_prediction_loss(opt: Opt, loss: str) -> Iterator[Problem]:
    """Check that a loss, such as NoiseLoss, trains what the network predicts."""
    wanted = f"{loss.removesuffix('Loss').lower()}_prediction"
    if not any(wanted in input_names(named.target) for named in named_losses(opt)):
        yield Problem("train.losses", f"needs a {loss}, which trains the network")


def check_no_discriminators(opt: Opt) -> Iterator[Problem]:
    """Check that no discriminator is there: latent models have no adversarial step."""
    for name in (str(name) for name in opt if str(name).startswith("network_d") and opt[name] is not None):
        yield Problem(name, f"{opt.get('model_type')} trains without a discriminator: set it to null (~)")


def read_crop_size(opt: Mapping[str, Any]) -> tuple[str, int | None]:
    """Return key and value of the side of the GT crops that a step sees; None where it is not said."""
    place = ("datasets", "train") if opt.get("degradation") is None else ("degradation",)
    size = section(opt, *place).get("gt_size")
    return join(*place, "gt_size"), size if isinstance(size, int) else None


def check_crop_multiple(opt: Mapping[str, Any], multiple: int, reason: str) -> Iterator[Problem]:
    """Check that `multiple` divides the GT crops."""
    key, size = read_crop_size(opt)
    if size is not None and size % multiple:
        yield Problem(key, f"must be a multiple of {multiple}, {reason}; got {size}")
