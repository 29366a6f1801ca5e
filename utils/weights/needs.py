"""Which weights an option file needs: start checkpoints, and what its networks, losses and metrics load by themselves.

A need is one of:
    file:PATH                   a file that the option file names
    vgg19, alexnet              torchvision's network
    lpips-linear                LPIPS's weights on top of AlexNet
    clip:MODEL:TAG              weights of open_clip
    metric:NAME                 a metric of pyiqa
    diffusers:REPOSITORY:PART   unet, vae or controlnet on the Hugging Face hub; REPOSITORY@REVISION where one is named
    timm:MODEL                  a network of timm
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from prismsr.archs.clip.build import MODEL
from prismsr.archs.lgcaa.options import BaseOptions, DinoOptions
from prismsr.models.lgcaa.rules import NETWORK
from prismsr.utils.options.problems import join
from prismsr.utils.options.schema import Options

WITHOUT_WEIGHTS = ("natural_scene", "sfd_iqa")
"""Metrics that are no network of pyiqa: the first's numbers come with BasicSR, the second's files are named."""
BACKBONES = {"vgg19": "vgg19", "alexnet": "alexnet"}
"""Feature networks that are downloaded; the others (st_vgg16, st_alexnet) come with a package."""
PYIQA = "pyiqa:"
_FILES = ("weights", "linear_weights", "feat_d", "prompts")


class Need(NamedTuple):
    """A need and the key of the option file that has it."""

    what: str
    where: str


def needs_of(options: Mapping[str, Any]) -> list[Need]:
    """The needs of a merged option file, once each, in the order of its sections."""
    found = [*_checkpoints(options), *_lgcaa(_mapping(options.get("network_g")), "network_g")]
    found += _clip(options.get("clip"), "clip")
    found += _metric(options.get("scoring"), "scoring")
    train, val = _mapping(options.get("train")), _mapping(options.get("val"))
    for section, key in ((train.get("losses"), "train.losses"), (val.get("metrics"), "val.metrics")):
        for name, entry in _mapping(section).items():
            found += _term(_mapping(entry), join(key, name))
    return list({need.what: need for need in reversed(found)}.values())[::-1]


def _checkpoints(options: Mapping[str, Any]) -> Iterator[Need]:
    for key, value in _mapping(options.get("path")).items():
        if key.startswith("pretrain_network") and value:
            yield Need(f"file:{value}", f"path.{key}")


def _lgcaa(network: Mapping[str, Any], key: str) -> Iterator[Need]:
    """Needs of an LGCAANet, as stable_diffusion.py and dino_condition.py load them."""
    if network.get("type") != NETWORK:
        return
    base, dino = _filled(BaseOptions, network.get("base")), _filled(DinoOptions, network.get("dino"))
    names = {"unet": "path", "vae": "vae_path" if base["vae_path"] else "path", "controlnet": "controlnet_path"}
    for part, name in names.items():
        repository = base[name]
        if _is_on_hub(repository):
            pinned = base["revision"] and part != "controlnet" and repository == base["path"]
            source = f"{repository}@{base['revision']}" if pinned else repository
            yield Need(f"diffusers:{source}:{part}", join(key, f"base.{name}"))
    if dino["weights"]:
        yield Need(f"file:{dino['weights']}", join(key, "dino.weights"))
    elif dino["pretrained"] and dino["config"] is None:
        yield Need(f"timm:{dino['model']}", join(key, "dino.model"))


def _filled(schema: type[Options], section: Any) -> dict[str, Any]:
    """A section with the schema's defaults; its values are not checked, which is the option check's task."""
    return {**{name: field.default for name, field in schema.model_fields.items()}, **_mapping(section)}


def _is_on_hub(path: Any) -> bool:
    """Whether it is no folder but a repository; folders need nothing, and the network says what they lack."""
    if not isinstance(path, str) or Path(path).expanduser().is_dir():
        return False
    return path.count("/") == 1 and not path.startswith((".", "~", os.sep))


def _clip(section: Any, key: str) -> Iterator[Need]:
    tag = _mapping(section).get("pretrained", "openai")
    if section is None or tag is None:
        return
    if Path(tag).suffix or "/" in tag:
        yield Need(f"file:{tag}", f"{key}.pretrained")
    else:
        yield Need(f"clip:{section.get('model', MODEL)}:{tag}", f"{key}.pretrained")


def _term(entry: Mapping[str, Any], key: str) -> Iterator[Need]:
    """Needs of a loss or metric: by its arguments, whatever its type, so that new types are seen, too."""
    kind = str(entry.get("type"))
    for name in _FILES:
        if entry.get(name):
            yield Need(f"file:{entry[name]}", join(key, name))
    backbone = BACKBONES.get(entry.get("backbone", _DEFAULT_BACKBONES.get(kind, "")))
    if backbone and not entry.get("weights"):
        yield Need(backbone, join(key, "backbone"))
    if kind == "LPIPSLoss" and backbone and not entry.get("linear_weights"):
        yield Need("lpips-linear", join(key, "linear_weights"))
    if kind in _DEFAULT_METRICS or "metric" in entry:
        yield from _metric({"metric": _DEFAULT_METRICS.get(kind), **entry}, key)
    if kind == "calculate_sfd_iqa":
        yield from _clip(entry.get("clip") or {}, join(key, "clip"))


_DEFAULT_BACKBONES = {
    "FeatureLoss": "vgg19",
    "PerceptualLoss": "vgg19",
    "AlexNetFeatureLoss": "alexnet",
    "LPIPSLoss": "alexnet",
}
_DEFAULT_METRICS = {"IQALoss": "musiq", "calculate_nr_iqa": "musiq"}
"""What types load where an option file does not say; tests compare them with the signatures."""


def _metric(section: Any, key: str) -> Iterator[Need]:
    if section is None:
        return
    options = {**_mapping(section), **_mapping(_mapping(section).get("metric_options"))}
    name = str(options.get("metric") or "musiq").removeprefix(PYIQA)
    if options.get("weights"):
        yield Need(f"file:{options['weights']}", join(key, "weights"))
    elif name not in WITHOUT_WEIGHTS and options.get("pretrained") is not False:
        yield Need(f"metric:{name}", join(key, "metric"))


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
