"""The keys of the section `lora` of an option file."""

from prismsr.utils.options.schema import Options

from pydantic import Field


class LoraOptions(Options):
    """`lora`: net_g is frozen, and low-rank updates of some of its layers are trained instead."""

    rank: int = Field(gt=0, description="rank of each update")
    alpha: float | None = Field(default=None, gt=0, description="factor of the updates times rank; null: rank")
    targets: list[str] = Field(min_length=1, description="patterns of layer names, as layers.*.mlp.fc?")
