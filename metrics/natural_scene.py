"""Natural-scene distance: how far the statistics of each 96 x 96 block are from those of pristine photographs.

It takes NIQE's features and pristine model (Mittal, Soundararajan and Bovik, "Making a completely blind image quality
analyzer", SPL 2013) and compares block by block, so that one block is enough and a gradient reaches every pixel. This
form is our own: no published metric, neither NIQE nor a stand-in for MUSIQ's judgement of content, and easily fooled,
for it knows local contrast statistics alone. It needs no weights beyond the file that comes with BasicSR.
"""

from functools import cache
from pathlib import Path

from prismsr.utils.errors import UserError
from prismsr.utils.resize import make_antialiased_weights

import basicsr.metrics.niqe
import numpy as np
import torch
from scipy.special import gammaln
from torch import Tensor, nn
from torch.nn import functional as F

BLOCK = 96  # pixels; the pristine model was made from blocks of this size
SCORE_RANGE = (0.0, 20.0)
PRISTINE = Path(basicsr.metrics.niqe.__file__).with_name("niqe_pris_params.npz")
"""NIQE's pristine model, which comes with BasicSR."""
_TINY = 1e-12
_ROUNDING = 1e-8  # of 255, in float64
_SHIFTS = ((0, 1), (1, 0), (1, 1), (1, -1))  # to the neighbours whose products NIQE looks at


def compute_luma(images: Tensor) -> Tensor:
    """Return MATLAB's Y in [16, 235] of RGB images in [0, 1], (B, 3, H, W) to (B, 1, H, W), not rounded as in NIQE.

    Example:
        >>> compute_luma(torch.ones(1, 3, 1, 1)).item()
        235.0
    """
    weights = images.new_tensor([65.481, 128.553, 24.966]).view(1, 3, 1, 1)
    return (images * weights).sum(1, keepdim=True) + 16


def normalise_contrast(image: Tensor, window: Tensor) -> Tensor:
    """Return mean-subtracted, contrast-normalised coefficients (eq. 1 of NIQE): (x - mu) / (sigma + 1).

    Images are (B, 1, H, W), in the range of 8 bits. The window has the (7, 7) Gaussian weights of the local mean mu and
    deviation sigma; edge pixels repeat beyond the border.
    """
    padded = F.pad(image, (window.shape[1] // 2,) * 2 + (window.shape[0] // 2,) * 2, mode="replicate")
    kernel = window.to(image)[None, None]
    mean = F.conv2d(padded, kernel)
    variance = (F.conv2d(padded.square(), kernel) - mean.square()).abs()
    difference = image - mean
    # in flat places rounding alone would decide on the sign, and the fit counts signs
    difference = difference.where(difference.abs() > _ROUNDING, 0)
    return difference / ((variance + _TINY).sqrt() + 1)


def halve(image: Tensor) -> Tensor:
    """Return MATLAB's bicubic downsampling by 2 with antialiasing, border mirrored; (B, 1, H, W) with even H and W.

    Example:
        >>> halve(torch.full((1, 1, 48, 96), 3.0)).shape
        torch.Size([1, 1, 24, 48])
    """
    first, weights = make_antialiased_weights(2)
    before, after = -first, first + len(weights) - 2
    kernel = image.new_tensor(weights)
    for axis, shape in ((2, (1, 1, -1, 1)), (3, (1, 1, 1, -1))):
        length = image.shape[axis]
        left = image.narrow(axis, 0, before).flip(axis)
        right = image.narrow(axis, length - after, after).flip(axis)
        stride = (2, 1) if axis == 2 else (1, 2)
        image = F.conv2d(torch.cat([left, image, right], axis), kernel.view(shape), stride=stride)
    return image


def compute_aggd_ratio(shape: np.ndarray) -> np.ndarray:
    """Return r(a) = Gamma(2/a)^2 / (Gamma(1/a) Gamma(3/a)) of a generalised Gaussian's shape a; it rises with a.

    Example:
        >>> compute_aggd_ratio(np.array([1.0, 2.0])).round(4)  # Laplace and Gauss: 1/2 and 2/pi
        array([0.5   , 0.6366])
    """
    return np.exp(2 * gammaln(2 / shape) - gammaln(1 / shape) - gammaln(3 / shape))


@cache
def _tabulate_ratios() -> tuple[Tensor, Tensor]:
    shapes = np.arange(200, 10001) / 1000  # the grid that NIQE searches
    return torch.from_numpy(compute_aggd_ratio(shapes)), torch.from_numpy(shapes)


def find_shape(ratio: Tensor) -> Tensor:
    """Return the inverse of `compute_aggd_ratio` in [0.2, 10], any shape: linear between NIQE's grid points.

    Example:
        >>> find_shape(torch.tensor([0.5]))
        tensor([1.])
    """
    ratios, shapes = (table.to(ratio.device) for table in _tabulate_ratios())
    wanted = ratio.double().clamp(float(_tabulate_ratios()[0][0]), float(_tabulate_ratios()[0][-1]))
    above = torch.searchsorted(ratios, wanted.detach()).clamp(1, len(ratios) - 1)
    slope = (shapes[above] - shapes[above - 1]) / (ratios[above] - ratios[above - 1])
    return (shapes[above - 1] + (wanted - ratios[above - 1]) * slope).to(ratio.dtype)


def fit_aggd(values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return shape, left and right scale of asymmetric generalised Gaussians fitted by moments (eq. 4 to 7 of NIQE).

    Samples are (..., n); all zero give the smallest shape and scales near 0, with a gradient of 0.
    """
    right, left = values.relu(), (-values).relu()
    right_square, left_square = right.square().sum(-1), left.square().sum(-1)
    with torch.no_grad():
        above, below = (values > 0).sum(-1).clamp(min=1), (values < 0).sum(-1).clamp(min=1)
    right_std, left_std = (right_square / above + _TINY).sqrt(), (left_square / below + _TINY).sqrt()
    count = values.shape[-1]
    power = (right_square + left_square) / count + _TINY
    balance = left_std / right_std
    ratio = ((right + left).sum(-1) / count).square() / power
    shape = find_shape(ratio * (balance**3 + 1) * (balance + 1) / (balance.square() + 1).square())
    scale = (0.5 * (torch.lgamma(1 / shape) - torch.lgamma(3 / shape))).exp()
    return shape, left_std * scale, right_std * scale


def describe_blocks(blocks: Tensor) -> Tensor:
    """Return NIQE's 18 features of one scale: (..., h, w) blocks of MSCN coefficients to (..., 18)."""
    products = [blocks * blocks.roll(shift, (-2, -1)) for shift in _SHIFTS]
    shape, left, right = fit_aggd(torch.stack([blocks, *products], -3).flatten(-2))
    mean = (right - left) * (torch.lgamma(2 / shape) - torch.lgamma(1 / shape)).exp()
    own = torch.stack([shape[..., 0], (left[..., 0] + right[..., 0]) / 2], -1)
    neighbours = torch.stack([shape, mean, left, right], -1)[..., 1:, :]
    return torch.cat([own, neighbours.flatten(-2)], -1)


def describe_images(images: Tensor, window: Tensor) -> Tensor:
    """Return the 36 features of every 96 x 96 block, from the top left, without overlap; what is over is left out.

    Images are RGB (B, 3, H, W) in [0, 1]. Features are (B, blocks, 36) in float64, without which the counts of signs
    would differ between batches and devices: 18 of the image itself, 18 of the image at half its size.

    Raises:
        UserError: the images are too small.
    """
    rows, columns = images.shape[-2] // BLOCK, images.shape[-1] // BLOCK
    if not rows or not columns:
        raise UserError(
            f"natural_scene needs images of at least {BLOCK} x {BLOCK} pixels; these are {images.shape[-1]} x "
            f"{images.shape[-2]}. Use larger crops (gt_size) or another metric."
        )
    image = compute_luma(images[..., : rows * BLOCK, : columns * BLOCK].double())
    features = []
    for scaled in (image, halve(image)):
        size = scaled.shape[-2] // rows
        grid = normalise_contrast(scaled, window).view(-1, rows, size, columns, size)
        features.append(describe_blocks(grid.transpose(2, 3).flatten(1, 2)))
    return torch.cat(features, -1)


class NaturalScene(nn.Module):
    """Mean over blocks of the Mahalanobis distance between a block's features and the pristine model.

    d = sqrt((f - mu)^T Sigma^-1 (f - mu)) with mean mu and covariance Sigma of NIQE's pristine patches. NIQE fits a
    Gaussian to all blocks of an image and pools both covariances, for which it needs many blocks.

    Example:
        >>> NaturalScene()(torch.full((1, 3, 96, 96), 0.5))
        tensor([21.4347])
    """

    mean: Tensor
    covariance: Tensor
    window: Tensor
    whitening: Tensor

    def __init__(self) -> None:
        super().__init__()
        parameters = np.load(PRISTINE)
        self.register_buffer("mean", torch.from_numpy(parameters["mu_pris_param"]).double().flatten())
        self.register_buffer("covariance", torch.from_numpy(parameters["cov_pris_param"]).double())
        self.register_buffer("window", torch.from_numpy(parameters["gaussian_window"]).double())
        whitening = torch.linalg.cholesky(torch.linalg.pinv(self.covariance))
        self.register_buffer("whitening", whitening, persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Return distances (B,), 0 or more, lower is better, of RGB (B, 3, H, W) in [0, 1]; UserError below 96 px."""
        offsets = describe_images(images, self.window) - self.mean
        squares = (offsets @ self.whitening).square().sum(-1)
        return (squares + _TINY).sqrt().mean(1).to(images.dtype)
