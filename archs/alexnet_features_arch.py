"""Frozen AlexNet feature maps for perceptual losses: torchvision's, or the shift-tolerant AlexNet of ST-LPIPS.

Paper: LGCAA, eq. 2.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from prismsr.archs.frozen import FrozenOnImageNet, load_torchvision_features
from prismsr.utils.compat import import_stlpips
from prismsr.utils.weights.files import load_state_dict
from prismsr.utils.weights.needs import Need, backbone_needs

from basicsr.utils.registry import ARCH_REGISTRY
from torch import Tensor, nn
from torchvision.models import AlexNet_Weights, alexnet

Backbone = Literal["alexnet", "st_alexnet"]
LAYERS = ("relu1", "relu2", "relu3", "relu4", "relu5")
CHANNELS = (64, 192, 384, 256, 256)
MIN_SIDE = 32  # pixels; below it a map is empty


@ARCH_REGISTRY.register()
class AlexNetFeatures(FrozenOnImageNet):
    """The five ReLU outputs of a frozen AlexNet, which LPIPS compares too. Its last pooling is left out.

    Args:
        backbone: "alexnet" (torchvision, ImageNet) or "st_alexnet" (the shift-tolerant one that stlpips_pytorch
            carries, for machines without a network).
        weights: a local file with torchvision's state dict of AlexNet; default: torch.hub's cache, else a download.

    Raises:
        ValueError: unknown backbone.
        WeightsError: the weights are not at hand, or do not fit.
    """

    def __init__(self, backbone: Backbone = "alexnet", weights: str | None = None) -> None:
        super().__init__()
        if backbone not in ("alexnet", "st_alexnet"):
            raise ValueError(f"backbone is {backbone!r}; allowed: 'alexnet', 'st_alexnet'.")
        self.stages = _alexnet(weights) if backbone == "alexnet" else _st_alexnet()
        self.eval().requires_grad_(False)

    @classmethod
    def weights_needed(cls, arguments: Mapping[str, Any], key: str) -> Iterator[Need]:
        """Yield the weights of the backbone."""
        return backbone_needs(arguments, key, "alexnet")

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return maps relu1 to relu5, (B, C_l, H_l, W_l), of RGB images (B, 3, H, W) in [0, 1]; differentiable to x.

        ValueError where a side is below 32 pixels.
        """
        if min(x.shape[-2:]) < MIN_SIDE:
            raise ValueError(f"Images of {tuple(x.shape[-2:])} are too small for AlexNet: at least 32 x 32 pixels.")
        x = self.normalise(x)
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps


def _alexnet(weights: str | None) -> nn.ModuleList:
    url = AlexNet_Weights.IMAGENET1K_V1.url
    features = load_torchvision_features(alexnet, url, "AlexNet (ImageNet)", weights)
    layers = [nn.ReLU() if isinstance(layer, nn.ReLU) else layer for layer in features]
    ends = [number + 1 for number, layer in enumerate(layers) if isinstance(layer, nn.ReLU)]
    return nn.ModuleList(nn.Sequential(*layers[a:b]) for a, b in zip([0, *ends], ends, strict=False))


def _st_alexnet() -> nn.ModuleList:
    package = import_stlpips()
    net = package.stlpips.inv_net.alexnet(variant="shift_tolerant")
    state = load_state_dict(package.weights / "alex_shift_tolerant.pth")
    net.load_state_dict({key.removeprefix("net."): value for key, value in state.items() if key.startswith("net.")})
    return nn.ModuleList(getattr(net, f"slice{number}") for number in range(1, 6))
