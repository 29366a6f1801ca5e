"""Find the weights that an option file needs: start checkpoints, and what its networks, losses and metrics load.

What an entry needs is said by its class, beside the loader: `weights_needed(arguments, key)`, see options/named.py.

A need is one of:
    file:PATH                   a file that the option file names
    vgg19, alexnet              torchvision's network
    lpips-linear                LPIPS's weights on top of AlexNet
    clip:MODEL:TAG              weights of open_clip
    metric:NAME                 a metric, by its name in metrics/catalog.py
    diffusers:REPOSITORY:PART   unet, vae or controlnet on the Hugging Face hub; REPOSITORY@REVISION where one is named
    timm:MODEL                  a network of timm
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from prismsr.utils.options.named import complete_arguments, named_parts
from prismsr.utils.options.problems import join
from prismsr.utils.options.sections import section
from prismsr.utils.weights.network_files import named_files


class Need(NamedTuple):
    """A need and the key of the option file that has it."""

    what: str
    where: str


def needs_of(options: Mapping[str, Any]) -> list[Need]:
    """Return the needs of a merged option file, once each, in the order of its parts."""
    path = section(options, "path")
    found = [*file_needs(path, "path", *(key for key in path if str(key).startswith("pretrain_network")))]
    found += [Need(f"file:{file}", key) for file, key in named_files(options)]
    for target, entry, key in named_parts(options, is_train=True):
        hook = _OF_BASICSR.get(getattr(target, "__name__", "")) or getattr(target, "weights_needed", None)
        if hook is not None:
            found += hook(complete_arguments(target, entry), key)
    return list({need.what: need for need in reversed(found)}.values())[::-1]


def file_needs(arguments: Mapping[str, Any], key: str, *names: str) -> Iterator[Need]:
    """Yield the files that these arguments name."""
    for name in names:
        if arguments.get(name):
            yield Need(f"file:{arguments[name]}", join(key, name))


def backbone_needs(arguments: Mapping[str, Any], key: str, downloaded: str) -> Iterator[Need]:
    """Yield the file that `weights` names, or the network `backbone` where it is the one that is downloaded."""
    yield from file_needs(arguments, key, "weights")
    if arguments.get("backbone") == downloaded and not arguments.get("weights"):
        yield Need(downloaded, join(key, "backbone"))


_OF_BASICSR = {"PerceptualLoss": lambda arguments, key: [Need(str(arguments["vgg_type"]), join(key, "vgg_type"))]}
"""Of BasicSR's classes, which declare nothing."""
