"""Perceptual loss on frozen VGG features (Johnson et al., ECCV 2016), as ESRGAN uses it."""

from collections.abc import Iterator
from typing import Literal, get_args

from prismsr.archs.vgg_features_arch import Backbone, VGGFeatures, list_layers
from prismsr.utils.names import did_you_mean
from prismsr.utils.options.problems import Problem, join
from prismsr.utils.options.sections import Opt, section

import torch
from basicsr.utils.registry import LOSS_REGISTRY
from torch import Tensor, nn
from torch.nn import functional as F

_CRITERIA = {"l1": F.l1_loss, "l2": F.mse_loss}


@LOSS_REGISTRY.register()
class FeatureLoss(nn.Module):
    """sum_l w_l * mean |phi_l(sr) - phi_l(gt)| over the layers l of a frozen VGG phi.

    With backbone "vgg19" it is BasicSR's PerceptualLoss (same value); beyond that it runs on machines without a network
    ("st_vgg16") and says what to fetch where the weights are missing.

    Args:
        layer_weights: weight of each layer by name; "conv5_4" is before, "relu5_4" after the activation.
        backbone: network that gives the features, see VGGFeatures.
        weights: a local file with torchvision's state dict of VGG19.
        loss_weight: weight of the sum.
        criterion: mean absolute ("l1") or mean squared ("l2") difference.
    """

    inputs = ("sr", "gt")
    autocast = True  # with train.amp the frozen network runs in half precision
    weights_needed = VGGFeatures.weights_needed

    @classmethod
    def check_options(cls, entry: Opt, key: str, opt: Opt, is_train: bool) -> Iterator[Problem]:
        """Check that the backbone has the layers."""
        backbone = entry.get("backbone", "vgg19")
        known = list_layers(backbone) if backbone in get_args(Backbone) else []
        for layer in section(entry, "layer_weights"):
            if known and layer not in known:
                text = f"{backbone} has no such layer{did_you_mean(str(layer), known)}"
                yield Problem(join(key, "layer_weights", str(layer)), text)

    def __init__(
        self,
        layer_weights: dict[str, float],
        backbone: Literal["vgg19", "st_vgg16"] = "vgg19",
        weights: str | None = None,
        loss_weight: float = 1.0,
        criterion: Literal["l1", "l2"] = "l1",
    ) -> None:
        super().__init__()
        self.layer_weights, self.loss_weight, self.criterion = layer_weights, loss_weight, _CRITERIA[criterion]
        self.features = VGGFeatures(list(layer_weights), backbone, weights)

    def forward(self, sr: Tensor, gt: Tensor) -> Tensor:
        """Return scalar loss of RGB images (B, 3, H, W) in [0, 1]; gradient to sr only."""
        with torch.no_grad():
            gt_features = self.features(gt)
        sr_features = self.features(sr)
        terms = [self.criterion(sr_features[key], gt_features[key]) * w for key, w in self.layer_weights.items()]
        return torch.stack(terms).sum() * self.loss_weight
