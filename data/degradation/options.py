"""The keys of the section `degradation` of an option file."""

from typing import Annotated, Any, Literal

from prismsr.utils.options.schema import Options, Probability, bounds, weights

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

Scales = Annotated[list[float], bounds(0.01, 16, around=1)]


Levels = Annotated[list[float], bounds(0, 255)]


Qualities = Annotated[list[float], bounds(1, 100)]


UpDownKeep = Annotated[list[float], Field(min_length=3, max_length=3), AfterValidator(weights)]


_SECOND: Any = Field(default=None, validate_default=True)


class DegradationOptions(Options):
    """`degradation`: LQ images made from the GT images in the training step, as Real-ESRGAN does; BasicSR's names."""

    orders: Literal[1, 2] = Field(default=2, description="2: Real-ESRGAN's; 1: the one-stage degradation of HGGT")
    gt_size: int = Field(gt=0, description="side of the GT patch that is cut out after degrading, pixels")
    queue_size: int = Field(default=180, gt=0, description="samples in the pool, a multiple of the batch size")
    gt_usm: bool = Field(default=False, description="degrade the sharpened GT, and offer it to losses as gt_usm")

    resize_prob: UpDownKeep = Field(description="up, down, keep")
    resize_range: Scales = Field(description="scale factors")
    gaussian_noise_prob: Probability = Field(description="Gaussian noise; Poisson noise otherwise")
    noise_range: Levels = Field(description="sigma, of 255")
    poisson_scale_range: Levels = Field(description="factors of the Poisson noise")
    gray_noise_prob: Probability = Field(description="noise without colour")
    jpeg_range: Qualities = Field(description="JPEG qualities")

    # the second order: all of them with orders: 2, none with orders: 1
    second_blur_prob: Probability | None = _SECOND
    resize_prob2: UpDownKeep | None = _SECOND
    resize_range2: Scales | None = _SECOND
    gaussian_noise_prob2: Probability | None = _SECOND
    noise_range2: Levels | None = _SECOND
    poisson_scale_range2: Levels | None = _SECOND
    gray_noise_prob2: Probability | None = _SECOND
    jpeg_range2: Qualities | None = _SECOND

    @field_validator(
        "second_blur_prob", "resize_prob2", "resize_range2", "gaussian_noise_prob2", "noise_range2",
        "poisson_scale_range2", "gray_noise_prob2", "jpeg_range2",
    )  # fmt: skip
    @classmethod
    def _second_order(cls, value: Any, info: ValidationInfo) -> Any:
        orders = info.data.get("orders")
        if orders == 2 and value is None:
            raise ValueError("is required with orders: 2")
        if orders == 1 and value is not None:
            raise ValueError("is not read with orders: 1; leave it out, or take it back with ~")
        return value
