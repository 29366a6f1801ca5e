"""Frozen VGG feature maps for perceptual losses: torchvision's VGG19, or the shift-tolerant VGG-16 of ST-LPIPS."""

import re
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from prismsr.archs.frozen import FrozenOnImageNet, load_torchvision_features
from prismsr.utils.compat import import_stlpips
from prismsr.utils.weights.files import load_state_dict
from prismsr.utils.weights.needs import Need, backbone_needs

from basicsr.archs.vgg_arch import NAMES
from basicsr.utils.registry import ARCH_REGISTRY
from torch import Tensor, nn
from torchvision.models import VGG19_Weights, vgg19

Backbone = Literal["vgg19", "st_vgg16"]


@ARCH_REGISTRY.register()
class VGGFeatures(FrozenOnImageNet):
    """Feature maps of a frozen VGG at named layers (conv1_2 is before, relu1_2 after the activation).

    Args:
        layers: names of the layers to return, e.g. ["conv5_4"]; nothing beyond the deepest one is computed.
        backbone: "vgg19" (torchvision, ImageNet) or "st_vgg16" (anti-aliased VGG-16 carried by stlpips_pytorch, for
            machines without a network).
        weights: a local file with torchvision's state dict of VGG19; default: torch.hub's cache, else a download.

    Raises:
        ValueError: unknown layer or backbone.
        WeightsError: the weights are not at hand.
    """

    def __init__(self, layers: list[str], backbone: Backbone = "vgg19", weights: str | None = None) -> None:
        super().__init__()
        if backbone not in ("vgg19", "st_vgg16"):
            raise ValueError(f"backbone is {backbone!r}; allowed: 'vgg19', 'st_vgg16'.")
        named = _load_vgg19(weights) if backbone == "vgg19" else _load_st_vgg16()
        unknown = [layer for layer in layers if layer not in named]
        if unknown or not layers:
            raise ValueError(f"layers has {unknown or 'no entry'}; {backbone} has: {', '.join(named)}.")
        depth = 1 + max(list(named).index(layer) for layer in layers)
        self.layers = frozenset(layers)
        self.net = nn.Sequential(OrderedDict(list(named.items())[:depth]))
        self.eval().requires_grad_(False)

    @classmethod
    def weights_needed(cls, arguments: Mapping[str, Any], key: str) -> Iterator[Need]:
        """Yield the weights of the backbone."""
        return backbone_needs(arguments, key, "vgg19")

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Map RGB images (B, 3, H, W) in [0, 1] to {layer: (B, C_l, H_l, W_l)}; differentiable to x."""
        x = self.normalise(x)
        features = {}
        for name, layer in self.net.named_children():
            x = layer(x)
            if name in self.layers:
                features[name] = x
        return features


def list_layers(backbone: Backbone) -> list[str]:
    """Return the names of a backbone's layers in their order.

    Example:
        >>> list_layers("vgg19")[-3:], list_layers("st_vgg16")[3:6]
        (['conv5_4', 'relu5_4', 'pool5'], ['relu1_2', 'pool1', 'blur1'])
    """
    if backbone == "vgg19":
        return list(NAMES["vgg19"])
    names: list[str] = []
    for name in NAMES["vgg16"]:  # each pool is a dense max pool followed by a blurred subsampling
        names.extend([name, name.replace("pool", "blur")] if name.startswith("pool") else [name])
    return names[: names.index("relu5_3") + 1]  # the file has no weights beyond it, the last map that ST-LPIPS compares


def _without_inplace(layer: nn.Module) -> nn.Module:
    # an in-place ReLU would overwrite the feature map before it, which may have been asked for
    return nn.ReLU() if isinstance(layer, nn.ReLU) else layer


def _load_vgg19(weights: str | None) -> "OrderedDict[str, nn.Module]":
    features = load_torchvision_features(vgg19, VGG19_Weights.IMAGENET1K_V1.url, "VGG19 (ImageNet)", weights)
    return OrderedDict(zip(NAMES["vgg19"], map(_without_inplace, features), strict=True))


def _load_st_vgg16() -> "OrderedDict[str, nn.Module]":
    stlpips = import_stlpips()
    blocks = stlpips.vgg.make_layers(stlpips.vgg.cfg["D"], filter_size=3, pad_more=True)
    names = list_layers("st_vgg16")
    named = OrderedDict(zip(names, map(_without_inplace, blocks), strict=False))
    state = load_state_dict(stlpips.weights / "vgg_shift_tolerant.pth")
    found = [(re.fullmatch(r"net\.slice\d\.(\d+)\.(.+)", key), value) for key, value in state.items()]
    renamed = {f"{names[int(match[1])]}.{match[2]}": value for match, value in found if match}
    nn.Sequential(named).load_state_dict(renamed)
    return named
