"""Keys of `val.sampling`: those of all models on latents, and those of models that predict noise."""

from typing import Literal, Self

from prismsr.utils.options.schema import Options

from pydantic import Field, model_validator


class LatentSampling(Options):
    """What each method samples by; sides of tiles are in latents, 1/8 of the output's pixels for SD-2."""

    colour_fix: Literal["none", "adain", "wavelet"] = Field(default="adain", description="colours from the LR image")
    tile: int = Field(default=64, ge=0, description="longest side of the UNet's tiles; 0: the whole image at once")
    tile_overlap: int = Field(
        default=16,
        ge=0,
        description="latents that neighbours share, at most half a tile (default: 16, or half of a smaller tile)",
    )
    vae_tile: int = Field(default=64, ge=0, description="longest side of the VAE's tiles; 0: the whole image at once")
    vae_overlap: int = Field(default=16, ge=0, description="latents that its tiles share, likewise")
    vae_norm_stages: int = Field(
        default=8, ge=0, description="in which its norms' statistics over all tiles are gathered; 0: each tile's own"
    )
    min_side: int | None = Field(
        default=None, gt=0, description="an output with a shorter side is sampled at this one, then reduced"
    )
    amp: Literal["bf16"] | None = Field(default=None, description="half precision in sampling; ~ for float32")

    @model_validator(mode="after")
    def _overlaps_fit(self) -> Self:
        for name in ("tile", "vae"):
            tile, overlap = getattr(self, "tile" if name == "tile" else "vae_tile"), getattr(self, f"{name}_overlap")
            if tile and f"{name}_overlap" not in self.model_fields_set:
                setattr(self, f"{name}_overlap", min(overlap, tile // 2))
            elif tile and 2 * overlap > tile:
                raise ValueError(f"{name}_overlap must be at most half of the tile, {tile}; got {overlap}")
        return self


class DiffusionSampling(LatentSampling):
    """What belongs to a network that predicts noise, with SD-2's schedule."""

    scheduler: Literal["ddpm", "ddim", "dpm++"] = Field(default="ddpm", description="the paper's is ddpm")
    steps: int = Field(default=40, gt=0, le=1000, description="steps from noise to image")
    spacing: Literal["leading", "trailing", "linspace"] = Field(
        default="leading", description="where the timesteps are; 40 leading ones begin at 976"
    )
    start: Literal["lr", "noise"] = Field(default="lr", description="from the encoded LR image, noised, or from noise")
    start_timestep: int | None = Field(default=None, ge=1, le=999, description="leave out the steps before this one")
