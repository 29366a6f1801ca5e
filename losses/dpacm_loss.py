"""DPACM's losses on X_RGB (arXiv 2510.13649, sec. III-C): perceptual on AlexNet (eq. 2) and distribution (eq. 3).

X_RGB is made from c_f alone, so that their gradients reach ControlNet's conditioning embedding and the RGB head only.

Paper: LGCAA, eq. 2 and 3.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from prismsr.archs.alexnet_features_arch import CHANNELS, LAYERS, MIN_SIDE, AlexNetFeatures
from prismsr.losses.dpacm_distances import Distribution, distribution_distance, feature_distance, lpips_distance
from prismsr.utils.compat import import_stlpips
from prismsr.utils.options.problems import join
from prismsr.utils.weights.files import WeightsError, load_state_dict, load_torchvision_weights
from prismsr.utils.weights.needs import Need, file_needs

import torch
from basicsr.utils.registry import LOSS_REGISTRY
from torch import Tensor, nn
from torch.nn import functional as F

Images = Tensor | Sequence[Tensor]
_LPIPS_URL = "https://github.com/chaofengc/IQA-PyTorch/releases/download/v0.1-weights/LPIPS_v0.1_alex-df73285e.pth"


def pair_with_gt(x_rgb: Images, gt: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Return each X_RGB (B, 3, H_i, W_i) in float32 with the HR image (B, 3, H, W) area-averaged to its size."""

    def target(size: torch.Size) -> Tensor:
        return gt if gt.shape[-2:] == size else F.interpolate(gt, size=tuple(size), mode="area")

    images = [x_rgb] if isinstance(x_rgb, Tensor) else x_rgb
    return [(image.to(gt.dtype), target(image.shape[-2:])) for image in images]


class _LossOnRGB(nn.Module):
    inputs = ("x_rgb", "gt")

    def __init__(self, loss_weight: float) -> None:
        super().__init__()
        self.loss_weight = loss_weight

    def forward(self, x_rgb: Images, gt: Tensor) -> Tensor:
        """Return scalar loss, summed over the images of a multi-scale X_RGB.

        `x_rgb` is one image tensor (B, 3, H, W) or several of other sizes, about [0, 1]; gradient to these. GT is RGB
        (B, 3, H, W) in [0, 1].
        """
        parts = [self.distance(image, target) for image, target in pair_with_gt(x_rgb, gt)]
        return self.loss_weight * torch.stack(parts).sum()

    def distance(self, image: Tensor, target: Tensor) -> Tensor:
        """Return scalar distance of two image tensors of one shape."""
        raise NotImplementedError


@LOSS_REGISTRY.register()
class AlexNetFeatureLoss(_LossOnRGB):
    """Eq. 2 as printed, see feature_distance.

    Args:
        loss_weight: lambda_l; table III tries 1 and 2. Features have no bounds, so that the weight depends on layers.
        layer_weights: weight of each of relu1 to relu5; all 1 where it is null.
        backbone: see AlexNetFeatures; so weights.
        weights: a local file.

    Raises:
        ValueError, WeightsError: an unknown layer; see AlexNetFeatures.
    """

    MIN_SIDE = MIN_SIDE
    weights_needed = AlexNetFeatures.weights_needed

    def __init__(
        self,
        loss_weight: float = 1.0,
        layer_weights: dict[str, float] | None = None,
        backbone: Literal["alexnet", "st_alexnet"] = "alexnet",
        weights: str | None = None,
    ) -> None:
        super().__init__(loss_weight)
        given = dict.fromkeys(LAYERS, 1.0) if layer_weights is None else layer_weights
        unknown = [name for name in given if name not in LAYERS]
        if unknown or not any(given.values()):
            raise ValueError(f"layer_weights has {unknown or 'no entry but 0'}; AlexNet has: {', '.join(LAYERS)}.")
        self.layer_weights = [float(given.get(name, 0)) for name in LAYERS]
        self.features = AlexNetFeatures(backbone, weights)

    def distance(self, image: Tensor, target: Tensor) -> Tensor:
        """Return eq. 2."""
        with torch.no_grad():
            targets = self.features(target)
        return feature_distance(self.features(image), targets, self.layer_weights)


@LOSS_REGISTRY.register()
class LPIPSLoss(_LossOnRGB):
    """LPIPS v0.1 on AlexNet, the name that the paper's ablation gives eq. 2; bounded, so that lambda_l has a meaning.

    Args:
        loss_weight: lambda_l.
        backbone: "alexnet", or "st_alexnet": LPIPS-ST, which stlpips_pytorch carries.
        weights: a local file with torchvision's state dict of AlexNet.
        linear_weights: a local file with LPIPS's weights of the channels (lpips's own v0.1/alex.pth will do).

    Raises:
        WeightsError: the weights are not at hand, or others.
    """

    MIN_SIDE = MIN_SIDE

    @classmethod
    def weights_needed(cls, arguments: Mapping[str, Any], key: str) -> Iterator[Need]:
        """Yield the weights of AlexNet and of its channels."""
        yield from AlexNetFeatures.weights_needed(arguments, key)
        yield from file_needs(arguments, key, "linear_weights")
        if arguments["backbone"] == "alexnet" and not arguments["linear_weights"]:
            yield Need("lpips-linear", join(key, "linear_weights"))

    def __init__(
        self,
        loss_weight: float = 1.0,
        backbone: Literal["alexnet", "st_alexnet"] = "alexnet",
        weights: str | None = None,
        linear_weights: str | None = None,
    ) -> None:
        super().__init__(loss_weight)
        self.features = AlexNetFeatures(backbone, weights)
        for number, weight in enumerate(_linear(backbone, linear_weights)):
            self.register_buffer(f"linear{number}", weight)

    def distance(self, image: Tensor, target: Tensor) -> Tensor:
        """Mean LPIPS over images."""
        with torch.no_grad():
            targets = self.features(target)
        linear = [self.get_buffer(f"linear{number}") for number in range(len(CHANNELS))]
        return lpips_distance(self.features(image), targets, linear).mean()


@LOSS_REGISTRY.register()
class PixelDistributionLoss(_LossOnRGB):
    """Eq. 3, see distribution_distance.

    Args:
        loss_weight: lambda_w; table III tries 0.1, 0.2 and 0.3.
        kind: "w1_printed", "w1_sorted" or "w1_sorted_batch".
    """

    def __init__(self, loss_weight: float = 1.0, kind: Distribution = "w1_printed") -> None:
        super().__init__(loss_weight)
        self.kind = kind

    def distance(self, image: Tensor, target: Tensor) -> Tensor:
        """Return eq. 3."""
        return distribution_distance(image, target, self.kind)


def _linear(backbone: str, path: str | None) -> list[Tensor]:
    if path is not None:
        state, source = load_state_dict(path), path
    elif backbone == "st_alexnet":
        source = str(import_stlpips().weights / "alex_shift_tolerant.pth")
        state = load_state_dict(source)
    else:
        state, source = _fetch_linear(), _LPIPS_URL
    names = [f"lin{number}.model.1.weight" for number in range(len(CHANNELS))]
    if any(name not in state or state[name].numel() != width for name, width in zip(names, CHANNELS, strict=True)):
        raise WeightsError(f"{source} holds no weights of LPIPS on AlexNet: {names[0]} to {names[-1]} are wanted.")
    return [state[name].flatten() for name in names]


def _fetch_linear() -> dict[str, Tensor]:
    try:
        return load_torchvision_weights(_LPIPS_URL, "LPIPS (AlexNet, v0.1)")
    except WeightsError as error:
        raise WeightsError(str(error).replace("`weights`", "`linear_weights`")) from error
