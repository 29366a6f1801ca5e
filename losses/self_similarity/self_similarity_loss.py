"""Self-similarity loss (SSL): an SR image shall resemble itself where, and as much as, the ground truth does.

"SSL: A Self-similarity Loss for Improving Generative Image Super-resolution", ACM MM 2024. docs/papers/ssl.md tells the
mathematics, what the defaults follow, and how the computation goes.

Paper: SSL, eq. 1, 2 and 4.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from prismsr.losses.edges import edge_mask
from prismsr.losses.self_similarity.autograd import FusedLoss, LogSimilarity
from prismsr.losses.self_similarity.plan import SearchPlan
from prismsr.losses.self_similarity.sweep import EPS, Setting
from prismsr.losses.self_similarity.tiles import LIMITS
from prismsr.utils.registry import LOSS_REGISTRY

import torch
from torch import Tensor, nn

__all__ = ["SelfSimilarityLoss", "edge_mask", "self_similarity_graph", "self_similarity_loss"]


def self_similarity_graph(
    img: Tensor,
    mask: Tensor,
    search: int = 25,
    window: int = 9,
    h: float = 0.004,
    stride: int = 1,
    border: str = "zero",
) -> list[Tensor]:
    """Return self-similarity graph (SSG) of each image, eq. 1 and 2 of the SSL paper.

    S(p, q) = exp(-D / (C window^2 h)) for q in the search area around p, D the summed squared difference of the windows
    around q and p; each row is divided by its sum + 1e-10. The image is mirrored at its border.

    Args:
        img: (B, C, H, W), values in [0, 1], any float type; half precision is computed in float32.
        mask: (B, 1, H, W) bool, or float where above 0.5 counts: the pixels p.
        search: side of the search area in pixels, odd.
        window: side of the compared windows in pixels, odd, at most `search`.
        h: bandwidth of the filter, on the scale of squared values in [0, 1].
        stride: the search area is sampled at this step, in pixels, from its centre outwards.
        border: window samples beyond the search area are "zero" (as released) or the "image"'s own (as in the paper).

    Returns:
        For each image (N_i, K): mask pixels in row-major order, offsets in row-major order, rows of sum 1;
        differentiable with respect to `img`, once.

    Raises:
        ValueError: an argument is out of range, shapes do not fit, or an image is too small to be mirrored.
    """
    plan = _plan(search, window, h, stride, border)
    _check_image("img", img, plan)
    chosen = _as_mask(mask, img)
    with torch.autocast(img.device.type, enabled=False):
        logarithms = LogSimilarity.apply(_as_float(img), chosen, _setting(plan, img, h))
        similarities = logarithms.exp()
        graph = similarities / (similarities.sum(dim=1, keepdim=True) + EPS)
    return list(graph.split(chosen.flatten(1).sum(dim=1).tolist()))


def self_similarity_loss(
    sr: Tensor,
    gt: Tensor,
    mask: Tensor | None = None,
    search: int = 25,
    window: int = 9,
    h: float = 0.004,
    stride: int = 1,
    border: str = "zero",
    alpha: float = 1.0,
    mask_stride: int = 1,
    kl_weight: float = 1.0,
    reduction: str = "mean",
) -> Tensor:
    """Return kl_weight * KL(S_gt || S_sr) + alpha * |S_sr - S_gt| of self-similarity graphs, eq. 4 of the SSL paper.

    The mean is taken over the N * K entries of the graphs of the whole batch; logarithms see at least 1e-10. Value and
    gradient are made together, in memory that does not grow with the batch. Images without a mask pixel add nothing.

    Args:
        sr: (B, C, H, W), values in [0, 1], any float type; half precision is computed in float32.
        gt: ground truth of the same shape; gets no gradient.
        mask: (B, 1, H, W) bool, or float where above 0.5 counts; None takes `edge_mask(gt)`.
        search, window, h, stride, border: see `self_similarity_graph`.
        alpha: weight of the L1 term.
        mask_stride: keep the mask pixels with row % mask_stride == column % mask_stride, 1/mask_stride of them.
        kl_weight: weight of the KL term.
        reduction: over the K entries of a row, "mean" or "sum"; over the N pixels always the mean.

    Returns:
        Scalar, float64 for float64 images, else float32; 0 (with a gradient of 0) where no pixel is masked.

    Raises:
        ValueError: an argument is out of range, shapes do not fit, or an image is too small to be mirrored.
    """
    plan = _plan(search, window, h, stride, border)
    _check_count("mask_stride", mask_stride)
    _check_images(sr, gt, plan, reduction)
    chosen = _as_mask(edge_mask(gt) if mask is None else mask, sr) & _diagonal(sr, mask_stride)
    want_grad = torch.is_grad_enabled() and sr.requires_grad
    image = _as_float(sr)
    with torch.autocast(sr.device.type, enabled=False):
        setting = _setting(plan, sr, h, alpha, kl_weight, mask_stride)
        loss = FusedLoss.apply(image, gt.detach().to(image.dtype), chosen, setting, want_grad)
    return loss * plan.neighbours if reduction == "sum" else loss


@LOSS_REGISTRY.register()
class SelfSimilarityLoss(nn.Module):
    """Self-similarity loss of the SSL paper (ACM MM 2024), eq. 4; see `self_similarity_loss`.

    Args:
        loss_weight: weight of the loss; 1000 in the paper's GAN experiments.
        search: side of the search area in pixels, odd.
        window: side of the compared windows in pixels, odd.
        h: bandwidth of the filter.
        stride: step within the search area in pixels.
        border: window samples beyond the search area, "zero" (as released) or "image" (as in the paper).
        alpha: weight of the L1 term relative to the KL term.
        mask_stride: use only the mask pixels with row % mask_stride == column % mask_stride.
        threshold: for masks made here, from which Laplacian on (0..255) a pixel is an edge, eq. 3.
        absolute: for masks made here, mark both sides of an edge.
        kl_weight: weight of the KL term.
        reduction: mean or sum over the entries of a row.
    """

    inputs = ("sr", "gt", "gt_mask")

    def __init__(
        self,
        loss_weight: float = 1.0,
        search: int = 25,
        window: int = 9,
        h: float = 0.004,
        stride: int = 1,
        border: Literal["zero", "image"] = "zero",
        alpha: float = 1.0,
        mask_stride: int = 1,
        threshold: float = 20.0,
        absolute: bool = False,
        kl_weight: float = 1.0,
        reduction: Literal["mean", "sum"] = "mean",
    ) -> None:
        super().__init__()
        _plan(search, window, h, stride, border)
        _check_count("mask_stride", mask_stride)
        self.loss_weight, self.threshold, self.absolute = loss_weight, threshold, absolute
        self.graph: dict[str, Any] = {"search": search, "window": window, "h": h, "stride": stride, "border": border}
        self.graph |= {"alpha": alpha, "mask_stride": mask_stride, "kl_weight": kl_weight, "reduction": reduction}

    @classmethod
    def check_options(cls, entry: Mapping[str, Any], key: str, opt: Any, is_train: bool) -> Iterator[Any]:
        """Check the bounds of the arguments, as the constructor does."""
        from prismsr.utils.options.problems import Problem, join  # not there for prismsr.functional
        from prismsr.utils.options.signatures import takes

        try:
            cls(**{name: value for name, value in entry.items() if takes(cls, name)})
        except ValueError as error:
            name, _, text = str(error).partition(": ")
            yield Problem(join(key, name), text)

    def forward(self, sr: Tensor, gt: Tensor, gt_mask: Tensor | None = None) -> Tensor:
        """Return weighted loss, a scalar, of images (B, C, H, W) in [0, 1] and their ground truth.

        `gt_mask` is (B, 1, H, W), 1 at edge pixels; None computes it from `gt`.
        """
        mask = edge_mask(gt, self.threshold, self.absolute) if gt_mask is None else gt_mask
        return self.loss_weight * self_similarity_loss(sr, gt, mask, **self.graph)


def _plan(search: int, window: int, h: float, stride: int, border: str) -> SearchPlan:
    if search < 1 or search % 2 == 0:
        raise ValueError(f"search: got {search}; allowed: odd numbers from 1")
    if window < 1 or window % 2 == 0 or window > search:
        raise ValueError(f"window: got {window}; allowed: odd numbers from 1 to search = {search}")
    if h <= 0:
        raise ValueError(f"h: got {h}; allowed: above 0")
    _check_count("stride", stride)
    if border not in ("zero", "image"):
        raise ValueError(f"border: got {border!r}; allowed: 'zero', 'image'")
    return SearchPlan(search, window, stride, border == "zero")


def _setting(plan: SearchPlan, like: Tensor, *values: Any) -> Setting:
    return Setting(plan, LIMITS.get(like.device.type, LIMITS["cuda"]), *values)


def _check_count(name: str, value: int) -> None:
    if value < 1:
        raise ValueError(f"{name}: got {value}; allowed: whole numbers from 1")


def _check_images(sr: Tensor, gt: Tensor, plan: SearchPlan, reduction: str) -> None:
    if reduction not in ("mean", "sum"):
        raise ValueError(f"reduction: got {reduction!r}; allowed: 'mean', 'sum'")
    _check_image("sr", sr, plan)
    if gt.shape != sr.shape:
        raise ValueError(f"gt: got shape {tuple(gt.shape)}; allowed: that of sr, {tuple(sr.shape)}")


def _check_image(name: str, image: Tensor, plan: SearchPlan) -> None:
    if image.dim() != 4 or not image.is_floating_point():
        raise ValueError(
            f"{name}: got shape {tuple(image.shape)} of {image.dtype}; allowed: (B, C, H, W) of a float type"
        )
    if min(image.shape[2:]) <= plan.halo:
        raise ValueError(
            f"{name}: got {image.shape[2]}x{image.shape[3]} pixels; allowed: sides above {plan.halo}, by which a "
            f"search area of {plan.search} mirrors the image"
        )


def _as_mask(mask: Tensor, image: Tensor) -> Tensor:
    """Return the mask as bool (B, 1, H, W)."""
    allowed = (len(image), 1, *image.shape[2:])
    if mask.shape != allowed:
        raise ValueError(f"mask: got shape {tuple(mask.shape)}; allowed: {allowed}")
    return mask if mask.dtype == torch.bool else mask > 0.5


def _diagonal(image: Tensor, stride: int) -> Tensor:
    rows = torch.arange(image.shape[2], device=image.device) % stride
    columns = torch.arange(image.shape[3], device=image.device) % stride
    return rows[:, None] == columns[None, :]


def _as_float(image: Tensor) -> Tensor:
    """Return the image in the type to compute in: float64 stays, everything else becomes float32."""
    return image if image.dtype == torch.float64 else image.float()
