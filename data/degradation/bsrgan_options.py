"""The ranges of BSRGAN's degradation, as keys of an option file."""

from typing import Annotated, ClassVar

from prismsr.utils.options.schema import Options, PatchOptions, Probability, bounds

from pydantic import AfterValidator, Field


def _odd(value: list[int]) -> list[int]:
    if not all(side % 2 for side in value):
        raise ValueError("must be [smallest, largest], both odd")
    return value


def _line(value: list[float]) -> list[float]:
    if len(value) != 2 or min(value) < 0 or max(value) == 0:
        raise ValueError("must be [constant, per unit of scale], at least 0 and not both 0")
    return value


Sides = Annotated[list[int], bounds(1, 99), AfterValidator(_odd)]
Line = Annotated[list[float], AfterValidator(_line)]
"""[a, b] stands for a + b s; s is the scale that is left to do: the run's, or its half after a first halving."""


class BSRGANRanges(Options):
    """What BSRGAN's degradation draws from; the defaults are the original's (Zhang et al., ICCV 2021)."""

    half_first_prob: Probability = Field(default=0.25, description="halved before all else, where the scale is 4")
    aniso_prob: Probability = Field(default=0.5, description="a blur kernel with two variances on a random axis")
    aniso_variance: Line = Field(default=[4, 1], description="[a, b]: each is U(0, a + b s), pixels^2")
    iso_sigma: Line = Field(default=[2, 0.2], description="[a, b]: a round kernel's width is U(0, a + b s), pixels")
    blur_sizes: Sides = Field(default=[7, 25], description="smallest and largest side of a blur kernel")
    resize_prob: Probability = Field(default=0.75, description="reduced by cv2; else blurred and sampled")
    resize_divisor: Line = Field(default=[0, 2], description="[a, b]: reduced by U(1, a + b s)")
    resize_factor: Annotated[list[float], bounds(0.01, 1)] | None = Field(
        default=None, description="reduced to U(low, high) of the size, in place of resize_divisor"
    )
    sample_sizes: Sides = Field(default=[25, 25], description="sides of the kernel before each s-th pixel is taken")
    sample_sigma: Line = Field(default=[0, 0.6], description="[a, b]: its width is U(0.1, a + b s), pixels")
    noise_levels: Annotated[list[int], bounds(1, 255)] = Field(
        default=[2, 25], description="standard deviations of the noise, of 255"
    )
    jpeg_prob: Probability = Field(default=0.9, description="a JPEG between the other steps; one ends them always")
    jpeg_range: Annotated[list[int], bounds(1, 100)] = Field(default=[30, 95], description="JPEG qualities")


class BSRGANMaskOptions(BSRGANRanges, PatchOptions):
    """Keys of BSRGANMaskDataset: GT images, their masks and the ranges of the degradation."""

    REQUIRED_TO_TRAIN: ClassVar[tuple[str, ...]] = PatchOptions.REQUIRED_TO_TRAIN

    dataroot_gt: str = Field(description="folder or .lmdb of GT images")
    dataroot_gt_mask: str | None = Field(default=None, description="folder or .lmdb of masks of the GT images")
