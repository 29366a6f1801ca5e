"""The keys of the section `degradation` of an option file."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from prismsr.utils.options.entries import find_registered
from prismsr.utils.options.problems import Problem, join
from prismsr.utils.options.rules import check_patch
from prismsr.utils.options.schema import Options, Probability, bounds, weights
from prismsr.utils.options.sections import Opt, count, section

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
    gt_usm: bool | Literal["target"] = Field(
        default=False, description="degrade the sharpened GT, and offer it to losses as gt_usm; target: it is gt, too"
    )
    round_lq: bool = Field(default=True, description="round LQ to 8 bits, as a file has them")
    enlarge: bool = Field(default=False, description="give LQ at GT's size, by bicubic interpolation, in [0, 1]")
    no_degradation_prob: Probability = Field(default=0, description="the whole batch's LQ is GT; only with enlarge")

    resize_prob: UpDownKeep = Field(description="up, down, keep")
    resize_range: Scales = Field(description="scale factors")
    gaussian_noise_prob: Probability = Field(description="Gaussian noise; Poisson noise otherwise")
    noise_range: Levels = Field(description="sigma, of 255")
    poisson_scale_range: Levels = Field(description="factors of the Poisson noise")
    gray_noise_prob: Probability = Field(description="noise without colour")
    jpeg_range: Qualities = Field(description="JPEG qualities")

    # the second order: all of them with orders: 2 (second_order_prob has a default), none with orders: 1
    second_order_prob: Probability = Field(
        default=1, description="the second blur, resize and noise; JPEG and the sinc filter always follow"
    )
    second_blur_prob: Probability | None = _SECOND
    resize_prob2: UpDownKeep | None = _SECOND
    resize_range2: Scales | None = _SECOND
    gaussian_noise_prob2: Probability | None = _SECOND
    noise_range2: Levels | None = _SECOND
    poisson_scale_range2: Levels | None = _SECOND
    gray_noise_prob2: Probability | None = _SECOND
    jpeg_range2: Qualities | None = _SECOND

    @field_validator("no_degradation_prob")
    @classmethod
    def _of_one_size(cls, value: float, info: ValidationInfo) -> float:
        if value and not info.data.get("enlarge"):
            raise ValueError("is only read with enlarge: true, since LQ has to have GT's size to be GT")
        return value

    @field_validator("second_order_prob")
    @classmethod
    def _of_two_orders(cls, value: float, info: ValidationInfo) -> float:
        if info.data.get("orders") == 1 and value != 1:
            raise ValueError("is not read with orders: 1; leave it out")
        return value

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

    @classmethod
    def check_options(cls, entry: Opt, key: str, opt: Opt, is_train: bool) -> Iterator[Problem]:
        """Check that the dataset gives what the degradation needs, and that its batches and patches fit."""
        dataset = section(opt, "datasets", "train")
        if "kernel_list" not in dataset:
            text = "must be a dataset that gives blur kernels, as RealESRGANMaskDataset does"
            yield Problem("datasets.train.type", text)
        elif entry.get("orders", 2) == 2 and dataset.get("kernel_list2") is None:
            yield Problem("datasets.train.kernel_list2", f"is required with {key}.orders 2")
        queue = count(entry.get("queue_size", cls.model_fields["queue_size"].default))
        batch = count(dataset.get("batch_size_per_gpu"))
        if queue and batch and queue % batch:
            text = f"must be a multiple of datasets.train.batch_size_per_gpu, {batch}; got {queue}"
            yield Problem(join(key, "queue_size"), text)
        model = find_registered("model", str(opt.get("model_type")))
        if entry.get("enlarge") is True and model is not None and not getattr(model, "TAKES_ENLARGED_LQ", False):
            text = f"must be false: {model.__name__}'s networks enlarge LQ images themselves"
            yield Problem(join(key, "enlarge"), text)
        yield from check_patch(entry.get("gt_size"), join(key, "gt_size"), opt)
        yield from _check_crop(count(dataset.get("crop_pad_size")), count(entry.get("gt_size")), key, opt)


def _check_crop(size: int | None, patch: int | None, key: str, opt: Mapping[str, Any]) -> Iterator[Problem]:
    """Check the side of the images that the dataset gives, from which patches are cut."""
    scale = count(opt.get("scale")) or 1
    if size and patch and patch > size:
        text = f"must be at most datasets.train.crop_pad_size, {size}; got {patch}"
        yield Problem(join(key, "gt_size"), text)
    if size and size % scale:
        text = f"must be a multiple of scale, {scale}, by which the patch is reduced; got {size}"
        yield Problem("datasets.train.crop_pad_size", text)
