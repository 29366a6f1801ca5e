"""Networks of spandrel under the names that option files give them, with what spandrel says of each.

This module is imported when a name is asked for that is not registered; a file without such a name pays nothing for it.
"""

import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import cache, wraps
from typing import Any, ClassVar, NamedTuple

from prismsr.utils.errors import shorten_error
from prismsr.utils.options.entries import registered_names
from prismsr.utils.options.problems import Problem, join
from prismsr.utils.options.sections import number, section
from prismsr.utils.options.signatures import check_arguments, takes
from prismsr.utils.padding import pad_to_windows

import spandrel  # type: ignore[import-not-found,import-untyped,unused-ignore]
import torch
from torch import Tensor, nn

SUFFIX = "_spandrel"
"""What the name of a network gets where BasicSR or PRISM-SR has one of this name."""

NOT_TRAINED: Mapping[str, str] = {
    "AuraSR": "it draws noise for each image, and spandrel knows it at one size alone",
    "DRUNet": "it wants a map of the noise beside the image",
    "GFPGAN": "it is for faces of 512 pixels, and spandrel knows it at one size alone",
    "IPT": "it takes patches of one size alone, one by one",
    "LaMa": "it wants a mask beside the image",
    "RestoreFormer": "it is trained in two stages, the first of which makes its codebook",
}
"""Networks for inference alone, each with the reason."""


LEAST_BATCH: Mapping[str, int] = {"DAT": 2}
"""Samples that a network needs in a training step: DAT normalises the means of whole images over the batch."""


class Facts(NamedTuple):
    """What spandrel says of a network with certain arguments: its enlargement, and the input that it takes.

    Both sides are multiples of `multiple` and at least `minimum` pixels, and equal where `square`. A network that is
    `whole` cuts tiles itself, so that it gets whole images. It computes in `precisions`. `call` says how images in [0,
    1] go through it, where that is more than to call it.
    """

    scale: int
    multiple: int
    minimum: int
    square: bool
    whole: bool
    precisions: tuple[str, ...]
    call: Callable[[Any, Tensor], Tensor] | None


class SpandrelNetwork:
    """What each network of spandrel has beside its own code: padding, and the checks of its option file.

    In training mode an image goes to the network as it is. Otherwise it is first mirrored at its right and lower
    border until it has a size that the network takes.
    """

    CHANNELS: ClassVar = 3
    """Of images, where none of these arguments tells, of what the network takes and of what it makes:"""
    CHANNEL_ARGUMENTS: ClassVar = (
        ("in_nc", "in_ch", "inp_channels", "in_channels", "n_colors"),
        ("out_nc", "out_ch", "out_channels", "in_channels", "n_colors"),
    )

    architecture: ClassVar[Any]
    kind: ClassVar[type[nn.Module]]
    facts: Facts
    training: bool
    _inside = False

    def forward(self, lq: Tensor) -> Tensor:
        """Map images (B, C, H, W) in [0, 1] to (B, C, scale * H, scale * W)."""
        facts = self.facts
        if self.training or self._inside or torch.onnx.is_in_onnx_export():
            return self._run(lq.clone())  # some networks write into it
        height, width = lq.shape[-2:]
        output = self._run(pad_to_windows(lq, facts.multiple, facts.minimum, facts.square).clone())
        return output[..., : height * facts.scale, : width * facts.scale]

    def _run(self, lq: Tensor) -> Tensor:
        inner: Any = super()
        if self.facts.call is None or self._inside:
            output: Tensor = inner.forward(lq)
            return output
        self._inside = True  # what spandrel does around the network calls it again
        try:
            return self.facts.call(self, lq)
        finally:
            self._inside = False

    @classmethod
    def rename_weights(cls, state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Return weights in the network's own names, from any that spandrel reads; as they are where it does not."""
        try:
            with torch.random.fork_rng(devices=[]):
                renamed: Mapping[str, Tensor] = cls.architecture.load(dict(state)).model.state_dict()
        except Exception:  # the weights of another network fail in as many ways as there are networks
            return state
        return renamed

    @classmethod
    def check_options(
        cls, entry: Mapping[str, Any], key: str, opt: Mapping[str, Any], is_train: bool
    ) -> Iterator[Problem]:
        """Yield where the network is not one to train, cannot be built, or does not fit `scale` or the batch."""
        name = cls.__name__
        yield from _check_batch(name, key, opt, is_train)
        told = number(opt.get("scale")) is None or takes(cls, "upscale") or takes(cls, "scale")  # by the rule one_scale
        if name in NOT_TRAINED:
            text = f"{name} is for inference from its weights' file alone: {NOT_TRAINED[name]}"
            yield Problem(join(key, "type"), text)
        elif isinstance(facts := cls._try(entry), str):
            text = f"{name}: its arguments do not fit together, or spandrel does not know it so ({facts})"
            yield Problem(key, text)
        elif facts and key == "network_g" and facts.scale != opt.get("scale") and not told:
            yield Problem(key, f"{name} enlarges x{facts.scale} with these arguments, but scale is {opt['scale']}")

    @classmethod
    def check_patch(cls, entry: Mapping[str, Any], key: str, size: int, size_key: str) -> Iterator[Problem]:
        """Yield where the network does not take the LQ patch of a GT patch that has `size` pixels at `size_key`."""
        facts = None if cls.__name__ in NOT_TRAINED else cls._try(entry)
        if isinstance(facts, Facts):
            side, least = size // facts.scale, max(facts.minimum, facts.multiple)
            if side % facts.multiple or side < facts.minimum:
                grid = f" and a multiple of {facts.multiple * facts.scale}" if facts.multiple > 1 else ""
                needed = f"{cls.__name__} needs at least {least * facts.scale}{grid}"
                yield Problem(size_key, f"{size} makes LQ patches of {side} pixels; {needed}")

    @classmethod
    def _try(cls, entry: Mapping[str, Any]) -> Facts | str | None:
        """Return what is known of a network; why it cannot be built; or None where its arguments are wrong."""
        arguments = {key: value for key, value in entry.items() if key != "type"}
        if check_arguments(cls, arguments, ""):
            return None
        try:
            return describe(cls, arguments)
        except Exception as error:  # whatever goes wrong in the network's code
            return f"{type(error).__name__}: {shorten_error(error)}"


def _check_batch(name: str, key: str, opt: Mapping[str, Any], is_train: bool) -> Iterator[Problem]:
    batch = number(section(opt, "datasets", "train").get("batch_size_per_gpu"))
    parts, least = number(section(opt, "train").get("accum_iter")) or 1, LEAST_BATCH.get(name, 1)
    if is_train and batch and batch < least * parts:
        each = f" in each of the {parts:g} parts of train.accum_iter" if parts > 1 else ""
        text = f"must be {least * parts:g} or more: {key} of type {name} needs {least} samples{each}; got {batch:g}"
        yield Problem("datasets.train.batch_size_per_gpu", text)


@cache
def list_networks() -> dict[str, type[SpandrelNetwork]]:
    """Return spandrel's networks by name: that in spandrel.architectures, with SUFFIX where it is taken."""
    taken, found = registered_names("arch"), {}
    for support in spandrel.MAIN_REGISTRY:
        for name, kind in vars(sys.modules[type(support.architecture).__module__]).items():
            if inspect.isclass(kind) and issubclass(kind, nn.Module) and hasattr(kind, "hyperparameters"):
                network = _adopt(name + SUFFIX if name in taken else name, kind, support.architecture)
                found[network.__name__] = network
    return found


def _adopt(name: str, kind: type[nn.Module], architecture: Any) -> type[SpandrelNetwork]:
    @wraps(kind.__init__)
    def start(self: Any, **arguments: Any) -> None:
        kind.__init__(self, **arguments)
        self.facts = describe(type(self), arguments)

    about = f"{name} of the package spandrel."
    parts = {"__init__": start, "__doc__": about, "architecture": architecture, "kind": kind}
    return type(name, (SpandrelNetwork, kind), parts)


def list_precisions(found: Any) -> tuple[str, ...]:
    """Return the precisions that a network can be run in, as spandrel's descriptor of it says."""
    fit = {"fp32": True, "fp16": found.supports_half, "bf16": found.supports_bfloat16}
    return tuple(name for name, fits in fit.items() if fits)


def is_run_whole(found: Any) -> bool:
    """Return whether a network of spandrel cuts tiles itself, so that it gets whole images."""
    return bool(found.tiling.name == "INTERNAL")


_KNOWN: dict[tuple[type, str], Facts] = {}


def describe(network: type[SpandrelNetwork], arguments: Mapping[str, Any]) -> Facts:
    """Return what spandrel says of a network with these arguments, for which it is built, once in a process.

    Random numbers go on as if it had not been. What goes wrong in the network's code is raised.
    """
    key = network, repr(sorted(arguments.items()))
    if key not in _KNOWN:
        with torch.random.fork_rng(devices=[]), torch.device("cpu"):
            found = network.architecture.load(network.kind(**arguments).state_dict())
        sizes, call = found.size_requirements, getattr(found, "_call_fn", None)
        plain = getattr(call, "__module__", "") == type(found).__module__
        _KNOWN[key] = Facts(
            found.scale if isinstance(found, spandrel.ImageModelDescriptor) else 1,
            *(sizes.multiple_of, sizes.minimum, sizes.square),
            is_run_whole(found),
            list_precisions(found),
            None if plain else call,
        )
    return _KNOWN[key]
