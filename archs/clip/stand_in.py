"""Another network's features in the place of CLIP's, for machines that CLIP's weights do not reach."""

from prismsr.archs.clip.features import ClipFeatures
from prismsr.archs.frozen import Frozen
from prismsr.archs.vgg_features_arch import Backbone, VGGFeatures
from prismsr.utils.full_precision import widen

import torch
from torch import Tensor

STAND_IN: Backbone = "st_vgg16"
"""`clip.model` of the network that stands in: the anti-aliased VGG-16 of stlpips_pytorch, trained on ImageNet."""
_LAYERS = {"relu1_2": 64, "relu2_2": 128, "relu3_3": 256}


class StandInImageEncoder(Frozen):
    """Frozen features of a VGG-16 for Feat-D, at the full size and about 1/2 and 1/4 of it; it has no final vector."""

    def __init__(self) -> None:
        super().__init__()
        self.channels = tuple(_LAYERS.values())
        self.net = VGGFeatures(list(_LAYERS), STAND_IN)

    def forward(self, images: Tensor, middle: bool = True, final: bool = False) -> ClipFeatures:
        """Return the maps (B, C_i, H_i, W_i) of RGB images (B, 3, H, W) in [0, 1], finest first; see ClipImageEncoder.

        ValueError where the final vector is wanted.
        """
        if final:
            raise ValueError(f"{STAND_IN} stands in for CLIP's maps alone; it has no final vector.")
        with torch.autocast(images.device.type, enabled=False):
            maps = self.net(widen(images))
        return ClipFeatures(tuple(maps[layer] for layer in _LAYERS) if middle else ())
