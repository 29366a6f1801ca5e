"""Networks that are never trained: they stay in evaluation mode, and take images as they were trained to."""

from collections.abc import Callable
from typing import Any, Self

from prismsr.utils.weights.files import load_state_dict, load_torchvision_weights, require_fit

import torch
from torch import Tensor, nn

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class Frozen(nn.Module):
    """A network that stays in evaluation mode: batch statistics and dropout would change what it gives."""

    def train(self, mode: bool = True) -> Self:
        """Stay in evaluation mode whatever the owner does."""
        return super().train(False)


class FrozenOnImageNet(Frozen):
    """A frozen network whose images are normalised by ImageNet's mean and deviation."""

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(1, 3, 1, 1))

    def normalise(self, images: Tensor) -> Tensor:
        """Return RGB images (B, 3, H, W) in [0, 1] as the network takes them."""
        return (images - self.mean) / self.std


def load_torchvision_features(build: Callable[[], Any], url: str, name: str, weights: str | None) -> nn.Sequential:
    """Return `features` of a classification network of torchvision with its weights; `name` is for messages.

    They are a local file of torchvision's state dict; None for torch.hub's cache, else a download from `url`.
    WeightsError where they are not at hand, or do not fit.
    """
    state = load_state_dict(weights) if weights else load_torchvision_weights(url, name)
    with torch.device("meta"):  # the classifier, which has most of the parameters, is never needed
        features: nn.Sequential = build().features
    state = {key.removeprefix("features."): value for key, value in state.items() if key.startswith("features.")}
    require_fit(features, state, weights or url)
    features.load_state_dict(state, assign=True)
    return features
