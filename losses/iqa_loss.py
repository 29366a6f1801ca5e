"""Direct optimisation of a no-reference metric (AMO, CVPR 2025, section 5): the loss falls as the metric rises.

Paper: AMO, section 5.
"""

from typing import Any

from prismsr.metrics.catalog import check_no_reference
from prismsr.metrics.no_reference import NRMetric, build_nr_metric, list_nr_metric_needs
from prismsr.utils.errors import OptionError, UserError

from basicsr.utils.registry import LOSS_REGISTRY
from torch import Tensor, nn


def iqa_loss(sr: Tensor, metric: NRMetric) -> Tensor:
    """Return -mean over RGB images (B, 3, H, W) of Q(clamp(SR, 0, 1)), Q a differentiable metric.

    Q is in 0 to 100, higher better; no gradient beyond [0, 1].
    """
    return -metric.rate(sr.clamp(0, 1)).mean()


@LOSS_REGISTRY.register()
class IQALoss(nn.Module):
    """`loss_weight * iqa_loss`: the term -lambda_Q Q(SR) of AMO's fine-tuning.

    Sign and scale come from the metric's own direction and range, so that loss_weight means the same for all: with
    MUSIQ, whose scores are on that scale, it is the paper's lambda_Q = 0.05. The metric is frozen, in eval mode and in
    float32, and is not saved with a checkpoint.

    Args:
        loss_weight: lambda_Q.
        metric: see build_nr_metric, "musiq" in the paper.
        metric_options: further arguments of build_nr_metric, such as weights, pretrained or score_range.

    Raises:
        OptionError: no such metric, options that do not suit it, or no gradient of it reaches an image.
        WeightsError: its weights are not at hand.
    """

    inputs = ("sr",)
    check_options = staticmethod(check_no_reference)
    weights_needed = staticmethod(list_nr_metric_needs)

    def __init__(
        self, loss_weight: float = 0.05, metric: str = "musiq", metric_options: dict[str, Any] | None = None
    ) -> None:
        super().__init__()
        self.loss_weight = loss_weight
        try:
            self.metric = build_nr_metric(metric, **(metric_options or {}))
            _ = self.metric.score_range  # tells at once where there is no scale
        except UserError as error:
            raise type(error)(f"IQALoss: {error}") from error
        if not self.metric.gives_gradient():
            raise OptionError(
                f"IQALoss: no gradient of {metric!r} reaches an image, so that it cannot be optimised; take a metric "
                "that is differentiable, such as musiq, paq2piq or natural_scene"
            )

    def forward(self, sr: Tensor) -> Tensor:
        """Return scalar loss of RGB images (B, 3, H, W) in [0, 1]."""
        return self.loss_weight * iqa_loss(sr, self.metric)
