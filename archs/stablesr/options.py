"""The section `struct` of StableSRNet in an option file."""

from typing import Self

from prismsr.utils.options.schema import Options

from pydantic import Field, model_validator


class StructOptions(Options):
    """`struct`: the time-aware encoder of the LR latent."""

    channels: int = Field(default=256, gt=0, description="width of the first level, and of the maps that it gives")
    mult: list[int] = Field(
        default=[1, 1, 2, 2], min_length=1, description="widths of the levels, in channels; as many as the UNet has"
    )
    res_blocks: int = Field(default=2, gt=0, description="residual blocks a level")
    heads: int = Field(default=4, gt=0, description="heads of its attentions")
    groups: int = Field(default=32, gt=0, description="of its group norms")

    @model_validator(mode="after")
    def _channels_divide(self) -> Self:
        for name in ("heads", "groups"):
            if self.channels % getattr(self, name):
                raise ValueError(f"{name} must divide channels, {self.channels}; got {getattr(self, name)}")
        return self
