"""The nested sections of LGCAANet in an option file: `base`, `dino` and `lgcaa`, with the two presets of the module."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from prismsr.archs.latent.options import StableDiffusionOptions
from prismsr.archs.latent.sampling.options import DiffusionSampling
from prismsr.utils.options.schema import Options

from pydantic import Field, model_validator

PRESETS: dict[str, dict[str, Any]] = {
    "default": {"temperature": "learned", "residual": True},
    "paper_literal": {"temperature": "printed", "residual": False},
}
"""What the presets say differently; docs/papers/lgcaa.md shows by a measurement what it does."""


class BaseOptions(StableDiffusionOptions):
    """`base`: where UNet, VAE and ControlNet come from."""

    controlnet_path: str | None = Field(
        default=None, description="ControlNet to start from; ~ copies the UNet's encoder"
    )
    condition_channels: list[int] = Field(default=[16, 32, 96, 256], min_length=2, description="widths of E, eq. 1")


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


class SamplingOptions(DiffusionSampling):
    """`val.sampling` of LGCAAModel."""

    control_scale: float = Field(default=1.0, ge=0, description="weight of ControlNet; 0 leaves it out")
