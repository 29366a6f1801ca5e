"""The keys of the section `lora` of an option file."""

from collections.abc import Iterator

from prismsr.utils.options.problems import Problem
from prismsr.utils.options.schema import Options
from prismsr.utils.options.sections import Opt, section

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
