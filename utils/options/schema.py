"""The keys an option file may have, section by section: names, types, bounds and one line on each.

A dataset class declares its keys with `OPTIONS: ClassVar = <subclass of DatasetOptions>`, a model class those of
`train` with `OPTIONS: ClassVar = <subclass of TrainOptions>`. BasicSR's own classes are described in option_tables.py.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    field_validator,
)
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema, PydanticCustomError


class Options(BaseModel):
    """A mapping of an option file: no other keys than the declared ones, no silent conversion (an int is a float)."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, model_title_generator=lambda schema: "")

    REQUIRED_TO_TRAIN: ClassVar[tuple[str, ...]] = ()
    """Keys that may be left out when testing but not when training."""
    REQUIRED_UNLESS_FALSE: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    """Further such keys, by the name of a switch: where it is false they may be left out."""

    @classmethod
    def read(cls, opt: Mapping[str, Any]) -> Self:
        """Return the settings of a section, without the keys of others, such as what the trainer adds to it.

        A wrong value is a pydantic.ValidationError.
        """
        return cls.model_validate({key: value for key, value in opt.items() if key in cls.model_fields})


class Arguments(Options):
    """The arguments of a class or function, whose name is the schema's (see `signatures.arguments_of`)."""

    model_config = ConfigDict(model_title_generator=lambda schema: schema.__name__)


def wrong_key(key: str, text: str) -> PydanticCustomError:
    """Return what a `model_validator` raises to say what is wrong with one key, a path below the mapping."""
    return PydanticCustomError("wrong_key", "{text}", {"key": key, "text": text})


def _whole(value: Any) -> Any:
    # BasicSR's own files say `val_freq: !!float 5e3`
    return int(value) if isinstance(value, float) and value.is_integer() else value


Count = Annotated[int, BeforeValidator(_whole)]
"""A whole number, also when written as 5e3."""
Positive = Annotated[int, Field(gt=0), BeforeValidator(_whole)]
"""A whole number above 0. (A bound beside `Count | None` does not reach the JSON Schema.)"""


@dataclass(frozen=True)
class Entry:
    """Marks a mapping of the form {type: X, **arguments}; `kind` tells what X is and how its arguments are checked."""

    kind: Literal["arch", "loss", "losses", "metric", "metrics", "optimizer", "scheduler"]

    def __get_pydantic_json_schema__(self, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Put the kind into the JSON Schema, where `json_schema` replaces it by all entries of that kind."""
        return {**handler(core_schema), "x-entry": self.kind}


LossEntry = Annotated[dict[str, Any], Entry("loss")]
LossEntries = Annotated[dict[str, Any], Entry("losses")]
MetricEntries = Annotated[dict[str, Any], Entry("metrics")]
OptimizerEntry = Annotated[dict[str, Any], Entry("optimizer")]
SchedulerEntry = Annotated[dict[str, Any], Entry("scheduler")]


def entry_kind(field: FieldInfo) -> str | None:
    """Return the kind of entry a field holds, or None where it holds a plain value."""
    parts: Iterable[Any] = (field, *getattr(field.annotation, "__args__", ()))
    marks = [mark for part in parts for mark in getattr(part, "metadata", getattr(part, "__metadata__", ()))]
    return next((mark.kind for mark in marks if isinstance(mark, Entry)), None)


NAME_BYTES = 200  # of an experiment: files named after it have endings besides


class TopOptions(Options):
    """The top level, without `network_*`."""

    SECTIONS: ClassVar[Mapping[str, type]] = {}
    """Who has the hooks (named.py) of sections that training reads, by key."""

    name: str = Field(min_length=1, description="experiment name, also the name of its folder")
    model_type: str = Field(description="registered model class")
    scale: Positive | None = Field(default=None, description="upscaling factor")
    num_gpu: Literal["auto"] | Annotated[int, Field(ge=0)] = Field(description="auto, or number of GPUs; 0 for CPU")
    manual_seed: int | None = Field(default=None, ge=0, description="random seed; drawn where it is null")
    find_unused_parameters: bool = Field(default=False, description="passed to DistributedDataParallel")
    datasets: dict[str, Any] = Field(description="train, val, val_2, test_1, ...")
    path: dict[str, Any] | None = Field(default=None, description="pretrained weights and resume state")
    train: dict[str, Any] | None = Field(default=None, description="training settings")
    val: dict[str, Any] | None = Field(default=None, description="validation settings")
    logger: dict[str, Any] | None = Field(default=None, description="logging settings")
    dist_params: dict[str, Any] | None = Field(default=None, description="torch.distributed settings")

    @field_validator("name")
    @classmethod
    def _folder_name(cls, value: str) -> str:
        if "/" in value or "\\" in value:
            raise ValueError("must not contain / or \\, since it names a folder")
        if value in (".", "..") or len(value.encode()) > NAME_BYTES:
            raise ValueError(f"names a folder: must not be . or .., and have at most {NAME_BYTES} bytes")
        return value


class PathOptions(Options):
    """`path`, without the keys of each network (pretrain_network_g, strict_load_g, param_key_g, ...)."""

    resume_state: str | None = Field(default=None, description=".state file to resume from")
    ignore_resume_networks: list[str] | None = Field(default=None, description="networks not loaded when resuming")


class WandbOptions(Options):
    """`logger.wandb`."""

    project: str | None = Field(default=None, description="project name; null: wandb is off")
    resume_id: str | None = Field(default=None, description="run to continue")


class LoggerOptions(Options):
    """`logger`."""

    print_freq: Count = Field(gt=0, description="iterations between two log lines")
    save_checkpoint_freq: Count = Field(gt=0, description="iterations between two checkpoints")
    keep_checkpoints: Positive | None = Field(default=None, description="newest checkpoints to keep; null: all")
    save_safetensors: bool = Field(default=False, description="write each network as .safetensors, too")
    use_tb_logger: bool = Field(description="write TensorBoard files")
    wandb: WandbOptions | None = None


class DistOptions(Options):
    """`dist_params`."""

    backend: Literal["nccl", "gloo"] | None = Field(default=None, description="torch.distributed backend")
    port: int | None = Field(default=None, gt=0, lt=65536, description="rendezvous port, used with slurm")


class ValOptions(Options):
    """`val`."""

    REQUIRED_TO_TRAIN: ClassVar[tuple[str, ...]] = ("val_freq",)

    val_freq: Count = Field(default=1, gt=0, description="iterations between two validations")
    save_img: bool = Field(description="write the images")
    suffix: str | None = Field(default=None, description="suffix of saved images; null: the experiment's name")
    pbar: bool = Field(default=False, description="show a progress bar")
    save_best: str | None = Field(default=None, description="metric by which net_g_best.pth is kept")
    metrics: MetricEntries | None = Field(default=None, description="name: {type: registered metric, **arguments}")


class IoBackendOptions(Options):
    """`io_backend` of a dataset."""

    type: Literal["disk", "lmdb", "memcached"] = Field(description="where the images are read from")
    server_list_cfg: str | None = Field(default=None, description="memcached's server list")
    client_cfg: str | None = Field(default=None, description="memcached's client file")
    sys_path: str | None = Field(default=None, description="folder added to sys.path for memcached")


class DatasetOptions(Options):
    """Keys of every dataset; subclass it for the keys of yours."""

    REQUIRED_TO_TRAIN: ClassVar[tuple[str, ...]] = ("batch_size_per_gpu", "num_worker_per_gpu")
    USES_SCALE: ClassVar[bool] = True
    """Whether the dataset reads the top-level `scale`."""

    name: str = Field(description="name in the log")
    type: str = Field(description="registered dataset class")
    batch_size_per_gpu: int = Field(default=1, gt=0, description="samples per GPU and step")
    num_worker_per_gpu: int = Field(default=0, ge=0, description="loading processes per GPU")
    dataset_enlarge_ratio: Count = Field(default=1, gt=0, description="how often an epoch visits each image")
    prefetch_mode: Literal["cpu", "cuda"] | None = Field(default=None, description="prefetch the next batch")
    num_prefetch_queue: int = Field(default=1, gt=0, description="batches each loading process keeps ready; at least 2")
    pin_memory: bool = Field(default=False, description="page-locked batches; prefetch_mode cuda needs it")
    persistent_workers: bool = Field(default=False, description="keep the loading processes between epochs")
    use_shuffle: bool = Field(default=True, description="found in BasicSR's files, read by nothing")
    on_bad_sample: Literal["stop", "skip"] = Field(
        default="stop", description="training: a sample that cannot be read ends it, or is replaced by another"
    )
    max_bad_samples: Count = Field(default=100, gt=0, description="different samples that skip may replace")


class PatchOptions(DatasetOptions):
    """Keys of a dataset that cuts patches for training."""

    REQUIRED_TO_TRAIN: ClassVar[tuple[str, ...]] = (
        *DatasetOptions.REQUIRED_TO_TRAIN, "gt_size", "use_hflip", "use_rot",
    )  # fmt: skip

    gt_size: int | None = Field(default=None, gt=0, description="side of the GT patch, pixels")
    use_hflip: bool = Field(default=False, description="flip at random")
    use_rot: bool = Field(default=False, description="rotate by multiples of 90 degrees at random")
    mean: list[float] | None = Field(default=None, description="subtracted per channel")
    std: list[float] | None = Field(default=None, description="divided by per channel")


class TrainOptions(Options):
    """Keys of `train` for every model; subclass it for the keys of yours."""

    TOP: ClassVar[type[TopOptions]] = TopOptions
    """Schema of the top level; a model that reads more keys there declares them in a subclass."""
    VAL: ClassVar[type[ValOptions]] = ValOptions
    """Schema of `val`."""
    NETWORKS: ClassVar[tuple[str, ...]] = ("network_g",)
    """Networks without which training cannot start."""
    OPTIMIZERS: ClassVar[tuple[str, ...]] = ("Adam",)
    """What the model's get_optimizer knows; BasicSR's knows Adam alone."""

    total_iter: Count = Field(gt=0, description="iterations of the whole training")
    warmup_iter: Count = Field(default=-1, ge=-1, description="iterations of linear warm-up; -1 for none")
    ema_decay: float = Field(default=0, ge=0, lt=1, description="decay of network_g's moving average; 0 for none")
    optim_g: OptimizerEntry = Field(description="{type: Adam, lr: ..., **arguments of the optimiser}")
    scheduler: SchedulerEntry = Field(description="{type: MultiStepLR, milestones: ..., gamma: ...}")


Probability = Annotated[float, Field(ge=0, le=1)]


def bounds(low: float, high: float, around: float | None = None) -> AfterValidator:
    """Check of a value [lowest, highest] that lies between `low` and `high`, with `around` inside it where given."""

    def check(value: list[float]) -> list[float]:
        ends = [low, *value, high]
        if len(value) != 2 or ends != sorted(ends) or (around is not None and not value[0] <= around <= value[1]):
            middle = "" if around is None else f" and {around:g} inside"
            raise ValueError(f"must be [lowest, highest] with both between {low:g} and {high:g}{middle}")
        return value

    return AfterValidator(check)


def weights(value: list[float]) -> list[float]:
    """Check of a list of weights to choose by: none below 0, not all 0."""
    if min(value, default=-1) < 0 or sum(value) <= 0:
        raise ValueError("must be a list of weights, none below 0 and not all 0")
    return value
