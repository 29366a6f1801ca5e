"""StableSR's network (arXiv 2305.07015): Stable Diffusion 2.1, modulated at each residual block by the LR latent.

Paper: SSL, table 2, StableSR (arXiv 2305.07015).
"""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Annotated, Any, ClassVar, Literal

from prismsr.archs.latent.latent_network import LatentNetwork
from prismsr.archs.latent.noise import NoiseProcess, sample_latents
from prismsr.archs.latent.options import fill_defaults, parse_section
from prismsr.archs.latent.sampling.enlarged_image import EnlargedImage
from prismsr.archs.latent.sampling.latent_tiling import Window
from prismsr.archs.latent.sampling.vae_tiles import decode_tiled, encode_tiled, run_in_tiles
from prismsr.archs.latent.stable_diffusion import (
    base_needs,
    build_unet,
    build_vae,
    decode_latents,
    posterior_moments,
    vae_factor,
)
from prismsr.archs.latent.trained_parts import choose_trained, keep_trained_alone, store_frozen
from prismsr.archs.stablesr.empty_prompt import read_context
from prismsr.archs.stablesr.modulation import Start, inject
from prismsr.archs.stablesr.options import BaseOptions, SamplingOptions, StructOptions
from prismsr.archs.stablesr.published import CFW, convert_trained
from prismsr.utils.errors import OptionError
from prismsr.utils.options.problems import join
from prismsr.utils.options.signatures import Section
from prismsr.utils.weights.files import WeightsError
from prismsr.utils.weights.needs import Need, file_needs

import torch
from basicsr.utils.registry import ARCH_REGISTRY
from torch import Tensor, nn

RANDOM = "random"
TOKENS = 77
"""Of a prompt, in CLIP."""


class StableSRProcess(NoiseProcess):
    """Diffusion with a draw more in training: LR latents are samples of their posterior, as GT's are, or its mode."""

    def __init__(self, sampled: bool) -> None:
        super().__init__()
        self.sampled = sampled

    def draw(self, shape: torch.Size, device: torch.device) -> dict[str, Tensor]:
        """Return what NoiseProcess draws, and `lq_posterior` (B, C, h, w)."""
        drawn = super().draw(shape, device)
        return {**drawn, "lq_posterior": torch.randn(shape, device=device)} if self.sampled else drawn


@ARCH_REGISTRY.register()
class StableSRNet(LatentNetwork):
    """The noise prediction eps(z_t, t, z_lr) with one constant context, that of the empty prompt.

    Trained are the time-aware encoder, and the UNet's parameters whose name has a part out of `train_pattern`. All else
    is frozen, and not in the state dict. The VAE is a part of the network, though forward does not use it.

    Args:
        base: UNet and VAE, see BaseOptions; published weights belong to Stable Diffusion 2.1 base.
        struct: the time-aware encoder, see StructOptions.
        context: file of the empty prompt's context, which `tools/prepare.py prompt` makes; "random" without one.
        cfw: file of the feature wrapping, e.g. the published one; None decodes plainly.
        init: "released", or "zero", ours, by which Stable Diffusion is preserved until training changes it.
        lr_posterior: what the LR latent is of its posterior: a sample, as in the release, or the mode.
        train_pattern: names of the UNet's modules that are trained; None: spade, the modulated norms.

    Raises:
        OptionError: an option is wrong; the message has its key.
        WeightsError: weights are not at hand.
    """

    MODEL: ClassVar = "StableSRModel"
    SAMPLING: ClassVar = SamplingOptions
    NOTES: ClassVar = "stablesr"
    MEANING: ClassVar = ("struct",)
    FROZEN: ClassVar = ("base", "condition")

    @classmethod
    def weights_needed(cls, arguments: Mapping[str, Any], key: str) -> Iterator[Need]:
        """Yield the weights of Stable Diffusion's networks, the context, and the feature wrapping."""
        yield from base_needs(fill_defaults(BaseOptions, arguments["base"]), join(key, "base"))
        names = ["cfw"] if arguments["context"] == RANDOM else ["context", "cfw"]
        yield from file_needs(arguments, key, *names)

    @classmethod
    def convert_published(cls, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the trained tensors of the authors' checkpoint in our names; WeightsError for another file."""
        if any(name.startswith(CFW) for name in state):
            raise WeightsError("It is the file of the feature wrapping: network_g.cfw reads it as it is.")
        return convert_trained(state)

    def __init__(
        self,
        base: Annotated[dict[str, Any] | None, Section(BaseOptions)] = None,
        struct: Annotated[dict[str, Any] | None, Section(StructOptions)] = None,
        context: str = "experiments/pretrained_models/StableSR/empty_prompt.safetensors",
        cfw: str | None = None,
        init: Start = "released",
        lr_posterior: Literal["sample", "mode"] = "sample",
        train_pattern: list[str] | None = None,
    ) -> None:
        super().__init__()
        base_options = parse_section(BaseOptions, base, "base")
        struct_options = parse_section(StructOptions, struct, "struct")
        self.sections = {
            "base": base_options.model_dump(),
            "struct": struct_options.model_dump(),
            "condition": {"context": context, "init": init, "lr_posterior": lr_posterior},
        }
        self.process = StableSRProcess(lr_posterior == "sample")
        self.vae = build_vae(base_options)
        self.unet = build_unet(base_options)
        self.latent_channels = self.unet.config.in_channels
        self.factor = vae_factor(self.vae)
        self.multiple = self.factor * 2 ** (len(struct_options.mult) - 1)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(base_options.seed)  # not CUDA's, whose state differs between processes
            self._build_control(struct_options, init)
            width = self.unet.config.cross_attention_dim
            tokens = torch.randn(TOKENS, width) if context == RANDOM else read_context(context, width)
            self.register_buffer("context", tokens, persistent=False)
            self.cfw: Any = None  # last: its own start is thrown away, and nothing else shall depend on it
            if cfw is not None:
                from prismsr.archs.stablesr.cfw import read_wrapping

                self.cfw = read_wrapping(self.vae, cfw)
        keep_trained_alone(self, choose_trained(self, ("encoder",), train_pattern or ["spade"], "spade"))
        store_frozen(self.unet, getattr(torch, base_options.frozen_dtype))

    def _build_control(self, struct: StructOptions, init: Start) -> None:
        # it imports diffusers, which `import prismsr` has no need of
        from prismsr.archs.stablesr.encoder import TimeAwareEncoder

        levels = len(self.unet.down_blocks)
        if len(struct.mult) != levels:
            raise OptionError(
                f"struct.mult: has {len(struct.mult)} levels, the UNet has {levels}; both must be the same"
            )
        self.maps = inject(self.unet, struct.channels, init)
        self.encoder = TimeAwareEncoder(struct, self.latent_channels)

    def forward(self, z_t: Tensor, t: Tensor, z_lr: Tensor) -> Tensor:
        """Predict the noise (B, 4, h, w).

        Args:
            z_t: noisy latents (B, 4, h, w), scaled by the VAE's factor (0.18215).
            t: timesteps (B,) or (), 0 to 999.
            z_lr: latents of the enlarged LR images, (B, 4, h, w).

        Raises:
            ValueError: the latents' sizes differ.
        """
        if z_lr.shape != z_t.shape:
            raise ValueError(f"LR latents are {tuple(z_lr.shape)}, noisy latents {tuple(z_t.shape)}.")
        self.maps.levels = self.encoder(z_lr, t)
        context = self.get_buffer("context").expand(len(z_t), -1, -1)
        return self.unet(z_t, t, encoder_hidden_states=context, return_dict=False)[0]

    def sample_lr(self, moments: Tensor, draws: Tensor | None) -> Tensor:
        """Return scaled latents (B, 4, h, w) of the LR images' posteriors, mean and log variance, (B, 8, h, w).

        Standard normal draws, (B, 4, h, w), make a sample of the posterior; None: its mode.
        """
        draws = moments.new_zeros(()) if draws is None else draws
        return sample_latents(moments, draws, self.vae.config.scaling_factor)

    def prepare(
        self, source: EnlargedImage, options: SamplingOptions, generator: torch.Generator
    ) -> "PreparedStableSR":
        """Return the network as a Sampler uses it, for the images of `source`; the LR latents may be drawn."""
        return PreparedStableSR(self, source, options, generator if self.process.sampled else None)

    def store_frozen_parts(self) -> None:
        """Keep VAE and feature wrapping as the UNet's frozen weights are kept (network_g.base.frozen_dtype)."""
        dtype = getattr(torch, self.sections["base"]["frozen_dtype"])
        for part in (self.vae, self.cfw) if dtype != torch.float32 else ():
            if part is not None:
                part.to(dtype)

    def enable_gradient_checkpointing(self) -> None:
        """Compute the activations of UNet and encoder again instead of keeping them; gradients stay the same."""
        self.unet.enable_gradient_checkpointing()
        self.encoder.gradient_checkpointing = True


class PreparedStableSR:
    """A StableSRNet with the LR latents of a batch; see `prismsr.archs.latent.sampling.sampler.Prepared`.

    The generator draws the LR latents from their posterior; None takes its mode.
    """

    def __init__(
        self, net: Any, source: EnlargedImage, options: SamplingOptions, generator: torch.Generator | None
    ) -> None:
        self.net, self.source, self.options = net, source, options
        moments = encode_tiled(net.vae, source, options, partial(posterior_moments, net.vae))
        shape = len(moments), net.latent_channels, *moments.shape[2:]
        draws = None if generator is None else torch.randn(shape, generator=generator).to(moments.device)
        self.z_lr = net.sample_lr(moments, draws)
        self.start = self.z_lr if options.start == "lr" else None

    def predict(self, window: Window, latents: Tensor, t: Tensor) -> Tensor:
        """Return the noise of a window's latents."""
        return self.net(latents, t, window.of(self.z_lr))

    def decode(self, latents: Tensor) -> Tensor:
        """Return the images, in tiles; with feature wrapping each tile is encoded as well."""
        net, weight = self.net, self.options.cfw_weight
        if net.cfw is None or weight == 0:
            return decode_tiled(net.vae, latents, self.options)

        def run(window: Window) -> Tensor:
            net.vae.encode(2 * self.source.window(window.enlarge(net.factor)) - 1)
            return decode_latents(net.vae, window.of(latents)).float().cpu()

        network = nn.ModuleList((net.vae.encoder, net.vae.decoder, net.cfw))
        with net.cfw.wrap(net.vae, weight):
            return run_in_tiles(network, run, (latents.shape[-2], latents.shape[-1]), net.factor, self.options)
