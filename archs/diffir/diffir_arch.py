"""DiffIR's two stages: a restorer guided by a prior, told by an encoder that sees GT, or predicted from LQ alone.

"DiffIR: Efficient Diffusion Model for Image Restoration", ICCV 2023; the configuration for real images, x4.

Paper: SSL, table 2, DiffIR.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Annotated, Any, ClassVar, Literal

from prismsr.archs.diffir.prior import CPEN, Denoiser, add_noise, make_schedule, predict_prior
from prismsr.archs.diffir.published import drop_doubled, read_diffusion_arguments, read_restorer_arguments
from prismsr.archs.diffir.restorer import PRIOR, DIRformer
from prismsr.utils.errors import UserError
from prismsr.utils.options.named import dataset_schema
from prismsr.utils.options.problems import Problem, join
from prismsr.utils.options.sections import Opt, section
from prismsr.utils.padding import pad_to_windows
from prismsr.utils.rng import derive_seed

import torch
from basicsr.utils.registry import ARCH_REGISTRY
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

Positive = Annotated[int, Field(gt=0)]
Count = Annotated[int, Field(ge=0)]
Width = Annotated[int, Field(gt=0, multiple_of=2)]
Levels = Annotated[Sequence[Positive], Field(min_length=4, max_length=4)]
Expansion = Annotated[float, Field(ge=0.5)]
Beta = Annotated[float, Field(gt=0, lt=1)]


class _Stage(nn.Module):
    """What both stages share: the restorer `G`, an enlargement by 4, and images mirrored to multiples of 8."""

    SCALE: ClassVar = 4
    CHANNELS: ClassVar = 3
    window_size: ClassVar = 8

    G: DIRformer

    @classmethod
    def check_patch(cls, entry: Opt, key: str, size: int, size_key: str) -> Iterator[Problem]:
        """Check that the restorer can halve the LQ of a GT patch three times."""
        side = cls.SCALE * cls.window_size
        if size % side:
            yield Problem(size_key, f"must be a multiple of {side}, since {key} halves LQ three times; got {size}")

    def enable_gradient_checkpointing(self) -> None:
        """Compute the restorer's blocks again in the backward pass, instead of keeping what is inside them."""
        self.G.checkpointing = True

    def restore(self, lq: Tensor, prior: Tensor) -> Tensor:
        """Enlarge images (B, 3, H, W), guided by priors (B, 256), to (B, 3, 4 H, 4 W), not clamped."""
        height, width = (self.SCALE * side for side in lq.shape[-2:])
        enlarged: Tensor = self.G(pad_to_windows(lq, self.window_size), prior)
        return enlarged[..., :height, :width]


@ARCH_REGISTRY.register()
class DiffIRS1(_Stage):
    """The first stage, whose encoder sees LQ and GT; parameters have the release's names.

    It is trained, and its encoder teaches the second stage. It makes no SR of LQ alone.

    Args:
        dim: channels at full size.
        num_blocks: blocks at each of four sizes, from the largest.
        num_refinement_blocks: blocks after them.
        heads: of the attention at each size.
        ffn_expansion_factor: how many times wider the feed-forward parts are inside.
        n_encoder_res: residual blocks of the encoder.
    """

    def __init__(
        self,
        dim: Width = 64,
        num_blocks: Levels = (13, 1, 1, 1),
        num_refinement_blocks: Count = 13,
        heads: Levels = (1, 2, 4, 8),
        ffn_expansion_factor: Expansion = 2.2,
        n_encoder_res: Count = 9,
    ) -> None:
        super().__init__()
        self.G = DIRformer(dim, num_blocks, num_refinement_blocks, heads, ffn_expansion_factor)
        self.E = CPEN(3 + 3 * self.SCALE**2, n_encoder_res)

    @classmethod
    def check_options(cls, entry: Opt, key: str, opt: Opt, is_train: bool) -> Iterator[Problem]:
        """Check that the model shows GT to the network, and that the datasets give it."""
        if key != "network_g":
            return
        if opt.get("model_type") != "DiffIRModel":
            yield Problem("model_type", f"must be DiffIRModel, which shows GT to {key} of type {cls.__name__}")
        for name, images in section(opt, "datasets").items():
            dataset = dataset_schema(images) if isinstance(images, dict) and (is_train or name != "train") else None
            if dataset is not None and "dataroot_gt" not in dataset.model_fields:
                text = f"{images['type']} gives no GT, which {key} of type {cls.__name__} looks at"
                yield Problem(join("datasets", name, "type"), text)

    @classmethod
    def read_arguments(cls, state: Mapping[str, Tensor]) -> dict[str, Any] | None:
        """Return the arguments of the network with these weights, None where they are no DiffIRS1's."""
        if any(name not in state for name in ("G.patch_embed.proj.weight", "E.mlp.0.weight")):
            return None
        return read_restorer_arguments(state, "E.")

    def forward(self, lq: Tensor, gt: Tensor | None = None) -> Tensor:
        """Enlarge images (B, 3, H, W) in [0, 1] to (B, 3, 4 H, 4 W), not clamped, with what GT of that size tells.

        UserError without GT.
        """
        if gt is None:
            raise UserError(
                "DiffIRS1 is DiffIR's first stage: it looks at GT beside LQ, so that it makes no SR of LQ alone. Use "
                "the second stage, network_g of type DiffIRS2, that was trained with it."
            )
        return self.restore(lq, encode_pair(self.E, lq, gt))


def encode_pair(encoder: nn.Module, lq: Tensor, gt: Tensor) -> Tensor:
    """Return priors (B, 256) of LQ (B, 3, H, W) and GT (B, 3, 4 H, 4 W) by the first stage's encoder."""
    window, scale = _Stage.window_size, _Stage.SCALE
    folded = F.pixel_unshuffle(pad_to_windows(gt, window * scale), scale)
    return encoder(torch.cat([pad_to_windows(lq, window), folded], 1))


@ARCH_REGISTRY.register()
class DiffIRS2(_Stage):
    """The second stage, which predicts the prior from LQ by a diffusion; parameters have the release's names.

    Args:
        dim, num_blocks, num_refinement_blocks, heads, ffn_expansion_factor, n_encoder_res: see DiffIRS1.
        n_denoise_res: linear layers of the denoiser after its first.
        timesteps: steps of the diffusion, all of which are run.
        linear_start: the first beta.
        linear_end: the last one.
        start: where the diffusion of an image begins that is not in training: at normal numbers seeded by the image,
            so that neither its batch nor what was done before matters, or at zeros.
    """

    OUTPUTS: ClassVar = ("sr", "ipr")
    """What it returns in training mode, in this order; in evaluation mode it returns SR alone."""
    NOTES: ClassVar = "diffir"
    MEANING: ClassVar = ("schedule",)
    FROZEN: ClassVar = ()

    def __init__(
        self,
        dim: Width = 64,
        num_blocks: Levels = (13, 1, 1, 1),
        num_refinement_blocks: Count = 13,
        heads: Levels = (1, 2, 4, 8),
        ffn_expansion_factor: Expansion = 2.2,
        n_encoder_res: Count = 9,
        n_denoise_res: Count = 1,
        timesteps: Positive = 4,
        linear_start: Beta = 0.1,
        linear_end: Beta = 0.99,
        start: Literal["image", "zeros"] = "image",
    ) -> None:
        super().__init__()
        self.schedule = make_schedule(timesteps, linear_start, linear_end)
        numbers = {"timesteps": timesteps, "linear_start": linear_start, "linear_end": linear_end}
        self.sections = {"schedule": numbers}  # its tensors do not tell
        self.start = start
        self.G = DIRformer(dim, num_blocks, num_refinement_blocks, heads, ffn_expansion_factor)
        self.condition = CPEN(3, n_encoder_res)
        self.denoise = Denoiser(n_denoise_res, timesteps)

    @classmethod
    def read_arguments(cls, state: Mapping[str, Tensor]) -> dict[str, Any] | None:
        """Return the arguments of the network with these weights, None where they are no DiffIRS2's.

        A checkpoint of the release tells the schedule; one of ours does not, and the defaults are taken.
        """
        if any(name not in state for name in ("G.patch_embed.proj.weight", "condition.mlp.0.weight")):
            return None
        return {**read_restorer_arguments(state, "condition."), **read_diffusion_arguments(state)}

    def rename_weights(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return a state dict without what the release's checkpoints hold twice; see `drop_doubled`."""
        return drop_doubled(state, self.schedule.betas)

    def forward(
        self, lq: Tensor, prior: Tensor | None = None, noise: Tensor | None = None, image: bool = True
    ) -> Tensor | tuple[Tensor | None, Tensor]:
        """Enlarge images (B, 3, H, W) in [0, 1] to SR (B, 3, 4 H, 4 W), not clamped.

        Args:
            lq: the images.
            prior: (B, 256), the first stage's, with `noise` the start of a training step's diffusion; else `start` is.
            noise: (B, 256), standard normal.
            image: whether SR is wanted, in training mode.

        Returns:
            SR; in training mode (SR or None, the predicted prior (B, 256)).
        """
        start = None if prior is None or noise is None else add_noise(prior, noise, self.schedule)
        predicted = self.predict_prior(lq, start)
        if not self.training:
            return self.restore(lq, predicted)
        return (self.restore(lq, predicted) if image else None), predicted

    def predict_prior(self, lq: Tensor, start: Tensor | None = None) -> Tensor:
        """Return the priors (B, 256) of images (B, 3, H, W), from where the diffusion starts or is to (B, 256)."""
        lq = pad_to_windows(lq, self.window_size)
        start = self._make_start(lq) if start is None else start
        *_, prior = predict_prior(self.denoise, start, self.condition(lq), self.schedule)
        return prior

    def look_at_whole(self, image: Tensor) -> Callable[[Tensor], Tensor]:
        """Return what enlarges tiles of this image (1, 3, H, W), all guided by the prior of the whole.

        Attention across channels is each tile's own, so that tiles change the result all the same.
        """
        return partial(self.restore, prior=self.predict_prior(image))

    def _make_start(self, lq: Tensor) -> Tensor:
        if self.start == "zeros":
            return lq.new_zeros(len(lq), PRIOR)
        if torch.compiler.is_exporting():
            raise UserError("a start that is seeded by the image cannot be exported: set network_g.start to zeros")
        seeds = (derive_seed(image[None], 0) for image in lq)
        return torch.stack([torch.randn(PRIOR, generator=torch.Generator().manual_seed(seed)) for seed in seeds]).to(lq)
