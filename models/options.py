"""The keys of an option file that PrismSRModel reads."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal

from prismsr.archs.clip.clip_arch import Clip
from prismsr.data.degradation.options import DegradationOptions
from prismsr.data.multi_gt.online_choice import GTChoice
from prismsr.models.step.clip_inputs import ClipInputs
from prismsr.utils.options.optimizers import OPTIMIZERS
from prismsr.utils.options.problems import Problem
from prismsr.utils.options.schema import Count, LossEntries, Options, TopOptions, TrainOptions
from prismsr.utils.options.sections import Opt, section
from prismsr.utils.options.signatures import Section

from pydantic import Field


class LoraOptions(Options):
    """`lora`: net_g is frozen, and low-rank updates of some of its layers are trained instead."""

    rank: int = Field(gt=0, description="rank of each update")
    alpha: float | None = Field(default=None, gt=0, description="factor of the updates times rank; null: rank")
    targets: list[str] = Field(min_length=1, description="patterns of layer names, as layers.*.mlp.fc?")

    @classmethod
    def check_options(cls, entry: Opt, key: str, opt: Opt, is_train: bool) -> Iterator[Problem]:
        """Check that there is a network to adapt."""
        if not section(opt, "path").get("pretrain_network_g"):
            yield Problem("path.pretrain_network_g", f"is required with {key}, which adapts a trained network")


class PrismTop(TopOptions):
    """PrismSRModel's top level."""

    SECTIONS: ClassVar[Mapping[str, type]] = {
        "degradation": DegradationOptions,
        "clip": ClipInputs,
        "scoring": GTChoice,
        "lora": LoraOptions,
    }

    degradation: DegradationOptions | None = Field(default=None, description="how LQ images are made from GT images")
    clip: Annotated[dict[str, Any] | None, Section(Clip)] = Field(
        default=None, description="the frozen CLIP, arguments of the arch Clip"
    )
    scoring: dict[str, Any] | None = Field(default=None, description="the metric that chooses among ground truths")
    lora: LoraOptions | None = Field(default=None, description="low-rank fine-tuning of net_g, training only")


class OnlyOptions(Options):
    """`train.only`."""

    parameters: list[str] = Field(min_length=1, description="beginnings of names of net_g's parameters")
    until: Count = Field(gt=0, description="last iteration in which they alone are trained")


class PrismTrainOptions(TrainOptions):
    """Keys of `train` for PrismSRModel."""

    TOP: ClassVar[type[TopOptions]] = PrismTop
    OPTIMIZERS: ClassVar[tuple[str, ...]] = tuple(OPTIMIZERS)

    losses: LossEntries = Field(description="log name: {type: registered loss, **arguments}")
    net_d_iters: Count = Field(default=1, gt=0, description="discriminator steps for each generator step")
    net_d_init_iters: Count = Field(default=0, ge=0, description="discriminator steps before the first generator step")
    amp: Literal["bf16", "fp16"] | None = Field(default=None, description="networks in half precision by autocast")
    accum_iter: Count = Field(default=1, gt=0, description="parts that a batch is processed in, for one update")
    grad_clip: float | None = Field(default=None, gt=0, description="largest norm of each network's gradient")
    only: OnlyOptions | None = Field(default=None, description="a part of net_g that is trained first, in one process")
    channels_last: bool = Field(default=False, description="lay out networks and images with channels innermost")
    compile: Literal[False, True, "default", "reduce-overhead", "max-autotune"] = Field(
        default=False, description="torch.compile for net_g and discriminators; true is default"
    )
    grad_checkpointing: bool = Field(default=False, description="compute net_g's blocks again instead of keeping them")
    max_skipped_updates: Count = Field(default=10, gt=0, description="updates skipped in a row before training stops")
