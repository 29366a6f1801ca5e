"""The keys in an option file of the datasets that give whole GT images with blur kernels."""

from typing import Annotated, Any, ClassVar, Literal

from prismsr.data.images.augmentation import Crop
from prismsr.utils.options.schema import DatasetOptions, Probability, bounds, weights

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

Kind = Literal["iso", "aniso", "generalized_iso", "generalized_aniso", "plateau_iso", "plateau_aniso"]
Kinds = Annotated[list[Kind], Field(min_length=1)]
Weights = Annotated[list[float], AfterValidator(weights)]
Sigmas = Annotated[list[float], bounds(0.01, 100)]
Shapes = Annotated[list[float], bounds(0.01, 100)]


class KernelOptions(DatasetOptions):
    """Flips, crop and kernels, with BasicSR's names. Without kernel_list2 there is one order of blur."""

    USES_SCALE: ClassVar[bool] = False
    REQUIRED_TO_TRAIN: ClassVar[tuple[str, ...]] = (*DatasetOptions.REQUIRED_TO_TRAIN, "use_hflip", "use_rot")

    use_hflip: bool = Field(default=False, description="flip at random")
    use_rot: bool = Field(default=False, description="rotate by multiples of 90 degrees at random")
    crop: Crop = Field(
        default="plain", description="plain: BasicSR's, cut or mirrored; ldm: a square of 0.5 to 1 of the shorter side"
    )
    crop_pad_size: int | None = Field(
        default=400, gt=0, description="side of the patch; ldm's squares are resized to it; plain: ~ leaves the images"
    )

    kernel_list: Kinds = Field(description="kinds of blur kernels")
    kernel_prob: Weights = Field(description="a weight for each kind")
    blur_kernel_size: int = Field(default=21, gt=0, description="side that all kernels are padded to, odd")
    kernel_range: list[int] = Field(default=[7, 21], validate_default=True, description="smallest and largest side")
    blur_sigma: Sigmas = Field(description="standard deviations, pixels")
    betag_range: Shapes = Field(default=[0.5, 4], description="shapes of the generalized kinds")
    betap_range: Shapes = Field(default=[1, 2], description="shapes of the plateau kinds")
    sinc_prob: Probability = Field(description="sinc filter in place of a blur kernel")

    kernel_list2: Kinds | None = Field(default=None, description="kinds of the second order; ~ for one order")
    kernel_prob2: Weights | None = Field(default=None, validate_default=True, description="a weight for each kind")
    blur_kernel_size2: int = Field(default=21, gt=0, description="side that its kernels are padded to, odd")
    kernel_range2: list[int] = Field(default=[7, 21], validate_default=True, description="smallest and largest side")
    blur_sigma2: Sigmas | None = Field(default=None, validate_default=True, description="standard deviations, pixels")
    betag_range2: Shapes = Field(default=[0.5, 4], description="shapes of the generalized kinds")
    betap_range2: Shapes = Field(default=[1, 2], description="shapes of the plateau kinds")
    sinc_prob2: Probability | None = Field(default=None, validate_default=True, description="sinc filter instead")
    final_sinc_prob: Probability | None = Field(
        default=None, validate_default=True, description="sinc filter at the end"
    )

    @field_validator("crop_pad_size")
    @classmethod
    def _side_of_ldm(cls, value: int | None, info: ValidationInfo) -> int | None:
        if value is None and info.data.get("crop") == "ldm":
            raise ValueError("is required with crop: ldm, whose squares are resized to this side (LDM's is 256)")
        return value

    @field_validator("kernel_prob2", "blur_sigma2", "sinc_prob2", "final_sinc_prob")
    @classmethod
    def _second_order(cls, value: Any, info: ValidationInfo) -> Any:
        if info.data.get("kernel_list2") is not None and value is None:
            raise ValueError("is required with kernel_list2")
        return value

    @field_validator("kernel_prob", "kernel_prob2")
    @classmethod
    def _one_weight_each(cls, value: list[float] | None, info: ValidationInfo) -> list[float] | None:
        name = f"kernel_list{str(info.field_name).removeprefix('kernel_prob')}"
        kinds = info.data.get(name)
        if kinds is not None and value is not None and len(kinds) != len(value):
            raise ValueError(f"must have as many entries as {name}, {len(kinds)}")
        return value

    @field_validator("blur_sigma", "blur_sigma2")
    @classmethod
    def _rising(cls, value: list[float] | None) -> list[float] | None:
        if value is not None and value[0] == value[1]:  # BasicSR's kernel functions refuse it
            raise ValueError("must be [lowest, highest], and not the same twice")
        return value

    @field_validator("blur_kernel_size", "blur_kernel_size2")
    @classmethod
    def _odd(cls, value: int) -> int:
        if value % 2 == 0:
            raise ValueError("must be odd")
        return value

    @field_validator("kernel_range", "kernel_range2")
    @classmethod
    def _odd_sides(cls, value: list[int], info: ValidationInfo) -> list[int]:
        name = f"blur_kernel_size{str(info.field_name).removeprefix('kernel_range')}"
        ends = [1, *value, info.data.get(name, 10**6)]
        if len(value) != 2 or ends != sorted(ends) or not all(side % 2 for side in value):
            raise ValueError(f"must be [smallest, largest], both odd and at most {name}, {ends[-1]}")
        return value

    def augmentation(self) -> dict[str, Any]:
        """Return the arguments of `prismsr.data.images.augmentation.random_patch`."""
        return {name: getattr(self, name) for name in ("use_hflip", "use_rot", "crop_pad_size", "crop")}


class RealESRGANMaskOptions(KernelOptions):
    """Keys of RealESRGANMaskDataset."""

    dataroot_gt: str = Field(description="folder or .lmdb of GT images")
    dataroot_gt_mask: str | None = Field(default=None, description="folder or .lmdb of masks of the GT images")

    @field_validator("dataroot_gt_mask")
    @classmethod
    def _masks_are_not_resized(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None and info.data.get("crop") == "ldm":
            raise ValueError(
                "does not go with crop: ldm, which resizes the image that the masks were made of; set crop: plain, or "
                "leave the masks out (~)"
            )
        return value
