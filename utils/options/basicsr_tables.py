"""What is known of BasicSR 1.4.2's own classes, which declare nothing themselves: their keys and arguments."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar, Literal

from prismsr.utils.names import did_you_mean
from prismsr.utils.options.optimizers import OPTIMIZERS
from prismsr.utils.options.schema import (
    Count,
    DatasetOptions,
    IoBackendOptions,
    LossEntry,
    OptimizerEntry,
    PatchOptions,
    TopOptions,
    TrainOptions,
    wrong_key,
)

from pydantic import AfterValidator, BeforeValidator, Field, Strict

# ---------------------------------------------------------------------------------------------------- datasets


class PairedImageOptions(PatchOptions):
    """PairedImageDataset."""

    dataroot_gt: str = Field(description="folder or .lmdb of GT images")
    dataroot_lq: str = Field(description="folder or .lmdb of LQ images")
    io_backend: IoBackendOptions
    meta_info_file: str | None = Field(default=None, description="text file listing the images")
    filename_tmpl: str = Field(default="{}", description="LQ file name made from the GT one, without extension")
    color: str | None = Field(default=None, description="y: luminance only")


class SingleImageOptions(DatasetOptions):
    """SingleImageDataset."""

    USES_SCALE: ClassVar[bool] = False

    dataroot_lq: str = Field(description="folder or .lmdb of LQ images")
    io_backend: IoBackendOptions
    meta_info_file: str = Field(default="", description="text file listing the images")
    mean: list[float] | None = None
    std: list[float] | None = None
    color: str | None = Field(default=None, description="y: luminance only")


class RealESRGANPairedOptions(PatchOptions):
    """RealESRGANPairedDataset."""

    dataroot_gt: str = Field(description="folder or .lmdb of GT images")
    dataroot_lq: str = Field(description="folder or .lmdb of LQ images")
    io_backend: IoBackendOptions
    meta_info: str | None = Field(default=None, description="text file listing the pairs")
    filename_tmpl: str = Field(default="{}", description="LQ file name made from the GT one, without extension")


class FFHQOptions(DatasetOptions):
    """FFHQDataset."""

    USES_SCALE: ClassVar[bool] = False

    dataroot_gt: str = Field(description="folder or .lmdb of face images")
    io_backend: IoBackendOptions
    mean: list[float]
    std: list[float]
    use_hflip: bool = Field(description="flip at random")


class RealESRGANOptions(DatasetOptions):
    """RealESRGANDataset: GT images and the kernels of a two-stage degradation."""

    USES_SCALE: ClassVar[bool] = False

    dataroot_gt: str = Field(description="folder or .lmdb of GT images")
    meta_info: str | None = Field(default=None, description="text file listing the images (needed with disk)")
    io_backend: IoBackendOptions
    gt_size: int | None = Field(default=None, gt=0, description="not read here: the model crops")
    use_hflip: bool
    use_rot: bool
    blur_kernel_size: int = Field(gt=0)
    kernel_list: list[str]
    kernel_prob: list[float]
    blur_sigma: list[float]
    betag_range: list[float]
    betap_range: list[float]
    sinc_prob: float = Field(ge=0, le=1)
    blur_kernel_size2: int = Field(gt=0)
    kernel_list2: list[str]
    kernel_prob2: list[float]
    blur_sigma2: list[float]
    betag_range2: list[float]
    betap_range2: list[float]
    sinc_prob2: float = Field(ge=0, le=1)
    final_sinc_prob: float = Field(ge=0, le=1)


DATASETS: dict[str, type[DatasetOptions]] = {
    "PairedImageDataset": PairedImageOptions,
    "SingleImageDataset": SingleImageOptions,
    "RealESRGANPairedDataset": RealESRGANPairedOptions,
    "RealESRGANDataset": RealESRGANOptions,
    "FFHQDataset": FFHQOptions,
}

# ------------------------------------------------------------------------------------------------------ models


class SRTrainOptions(TrainOptions):
    """SRModel and SwinIRModel."""

    pixel_opt: LossEntry | None = Field(default=None, description="pixel loss")
    perceptual_opt: LossEntry | None = Field(default=None, description="perceptual loss")


class GANTrainOptions(SRTrainOptions):
    """SRGANModel and ESRGANModel."""

    NETWORKS: ClassVar[tuple[str, ...]] = ("network_g", "network_d")

    ldl_opt: LossEntry | None = Field(default=None, description="LDL loss")
    gan_opt: LossEntry = Field(description="adversarial loss")
    optim_d: OptimizerEntry = Field(description="optimiser of network_d")
    net_d_iters: Count = Field(default=1, gt=0, description="discriminator steps for each generator step")
    net_d_init_iters: Count = Field(default=0, ge=0, description="discriminator steps before the first generator step")


class DegradationTop(TopOptions):
    """Top-level keys of the models that degrade the images themselves."""

    _FIRST: ClassVar = ("resize_prob", "resize_range", "gaussian_noise_prob", "noise_range", "poisson_scale_range")
    _SECOND: ClassVar = tuple(f"{key}2" for key in (*_FIRST, "gray_noise_prob", "jpeg_range"))
    REQUIRED_UNLESS_FALSE: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "high_order_degradation": (
            "gt_size", *_FIRST, "gray_noise_prob", "jpeg_range", "second_blur_prob", *_SECOND,
        )
    }  # fmt: skip

    high_order_degradation: bool = Field(default=True, description="false: the dataset gives LQ images, too")
    queue_size: int = Field(default=180, gt=0, description="samples in the pool, a multiple of the batch size")
    gt_size: int = Field(default=1, gt=0, description="side of the GT patch, pixels")
    resize_prob: list[float] = Field(default_factory=list, min_length=3, max_length=3, description="up, down, keep")
    resize_range: list[float] = Field(default_factory=list)
    gaussian_noise_prob: float = Field(default=0, ge=0, le=1)
    noise_range: list[float] = Field(default_factory=list)
    poisson_scale_range: list[float] = Field(default_factory=list)
    gray_noise_prob: float = Field(default=0, ge=0, le=1)
    jpeg_range: list[float] = Field(default_factory=list)
    second_blur_prob: float = Field(default=0, ge=0, le=1)
    resize_prob2: list[float] = Field(default_factory=list, min_length=3, max_length=3, description="up, down, keep")
    resize_range2: list[float] = Field(default_factory=list)
    gaussian_noise_prob2: float = Field(default=0, ge=0, le=1)
    noise_range2: list[float] = Field(default_factory=list)
    poisson_scale_range2: list[float] = Field(default_factory=list)
    gray_noise_prob2: float = Field(default=0, ge=0, le=1)
    jpeg_range2: list[float] = Field(default_factory=list)


class RealESRNetTop(DegradationTop):
    """RealESRNetModel's top level."""

    REQUIRED_UNLESS_FALSE: ClassVar[Mapping[str, tuple[str, ...]]] = {
        key: (*keys, "gt_usm") for key, keys in DegradationTop.REQUIRED_UNLESS_FALSE.items()
    }

    gt_usm: bool = Field(default=False, description="sharpen the GT images")


class RealESRGANTop(DegradationTop):
    """RealESRGANModel's top level."""

    REQUIRED_TO_TRAIN: ClassVar[tuple[str, ...]] = ("l1_gt_usm", "percep_gt_usm", "gan_gt_usm")

    l1_gt_usm: bool = Field(default=False, description="sharpened GT for the pixel loss")
    percep_gt_usm: bool = Field(default=False, description="sharpened GT for the perceptual loss")
    gan_gt_usm: bool = Field(default=False, description="sharpened GT for the discriminator")


class RealESRNetTrainOptions(SRTrainOptions):
    """RealESRNetModel."""

    TOP: ClassVar[type[TopOptions]] = RealESRNetTop


class RealESRGANTrainOptions(GANTrainOptions):
    """RealESRGANModel."""

    TOP: ClassVar[type[TopOptions]] = RealESRGANTop


MODELS: dict[str, type[TrainOptions]] = {
    "SRModel": SRTrainOptions,
    "SwinIRModel": SRTrainOptions,
    "SRGANModel": GANTrainOptions,
    "ESRGANModel": GANTrainOptions,
    "RealESRNetModel": RealESRNetTrainOptions,
    "RealESRGANModel": RealESRGANTrainOptions,
}

# --------------------------------------------------------------------- arguments that are not annotated, or too widely

_Reduction = Literal["none", "mean", "sum"]
_GanType = Literal["vanilla", "lsgan", "wgan", "wgan_softplus", "hinge"]
_Order = Literal["HWC", "CHW"]
_Vgg = Literal["vgg11", "vgg13", "vgg16", "vgg19", "vgg11_bn", "vgg13_bn", "vgg16_bn", "vgg19_bn"]


def _refuse_whole(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool):
        raise ValueError(f"write {float(value)} instead of {value}: torch wants fractions here")
    return value


def _refuse_falling(value: list[float]) -> list[float]:
    if value != sorted(set(value)):
        raise ValueError("must rise")
    return value


_Beta = Annotated[float, Field(ge=0, lt=1), BeforeValidator(_refuse_whole)]
_OPTIMIZER = {
    **dict.fromkeys(("lr", "eps", "weight_decay", "momentum"), Annotated[float, Field(ge=0)]),
    "betas": Annotated[tuple[_Beta, _Beta], Strict(False)],
}
_OPTIMIZERS = [optimizer.__name__ for optimizer in OPTIMIZERS.values()]

BY_NAME: dict[str, Any] = {
    "crop_border": int,
    "num_in_ch": int,
    "num_out_ch": int,
    "num_feat": int,
    "num_block": int,
    "num_conv": int,
    "upscale": int,
}
"""Kinds of arguments that BasicSR does not annotate, whatever takes them."""

BY_OWNER: dict[str, dict[str, Any]] = {
    **dict.fromkeys(_OPTIMIZERS, _OPTIMIZER),
    "MultiStepRestartLR": {"milestones": Annotated[list[float], AfterValidator(_refuse_falling)]},
    "CosineAnnealingRestartLR": {"periods": list[float]},
    "L1Loss": {"reduction": _Reduction},
    "MSELoss": {"reduction": _Reduction},
    "CharbonnierLoss": {"reduction": _Reduction},
    "WeightedTVLoss": {"reduction": Literal["mean", "sum"]},
    "GANLoss": {"gan_type": _GanType},
    "MultiScaleGANLoss": {"gan_type": _GanType},
    "PerceptualLoss": {
        "layer_weights": Annotated[dict[str, float], Field(min_length=1)],
        "vgg_type": _Vgg,
        "criterion": Literal["l1", "fro"],  # its l2 asks torch for a class that does not exist
    },
    "RRDBNet": {"scale": Literal[1, 2, 4]},
    "SRVGGNetCompact": {"act_type": Literal["relu", "prelu", "leakyrelu"]},
    "SwinIR": {"resi_connection": Literal["1conv", "3conv"]},
    "calculate_psnr": {"input_order": _Order},
    "calculate_ssim": {"input_order": _Order},
    "calculate_niqe": {"input_order": _Order, "convert_to": Literal["y", "gray"]},
}
"""What is known of arguments by the name of their class or function, rather than by its signature."""

REQUIRED = dict.fromkeys(_OPTIMIZERS, ("lr",))
"""Arguments that an option file has to give though the signature has a default."""


def _check_restarts(arguments: Any) -> Any:
    key = "periods" if hasattr(arguments, "periods") else "restarts"
    values, weights = getattr(arguments, key), arguments.restart_weights
    if len(values) != len(weights):
        raise wrong_key("restart_weights", f"must have as many entries as {key}, {len(values)}; got {len(weights)}")
    return arguments


def _check_vgg_layers(arguments: Any) -> Any:
    from basicsr.archs.vgg_arch import NAMES, insert_bn

    vgg = arguments.vgg_type
    names = NAMES[vgg.removesuffix("_bn")]
    known = insert_bn(names) if vgg.endswith("_bn") else names
    for layer in arguments.layer_weights:
        if layer not in known:
            raise wrong_key(f"layer_weights.{layer}", f"{vgg} has no layer {layer!r}{did_you_mean(layer, known)}")
    return arguments


CHECKS: dict[str, Callable[[Any], Any]] = {
    "MultiStepRestartLR": _check_restarts,
    "CosineAnnealingRestartLR": _check_restarts,
    "PerceptualLoss": _check_vgg_layers,
}
"""What has to agree among the arguments of one class."""
