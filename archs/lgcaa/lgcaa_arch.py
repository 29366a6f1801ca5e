"""LGCAA's network (arXiv 2510.13649): Stable Diffusion 2 with the attention module, ControlNet, DINO, X_RGB's head.

Paper: LGCAA, sec. III.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

from prismsr.archs.latent.latent_network import LatentNetwork
from prismsr.archs.latent.noise import NoiseProcess
from prismsr.archs.latent.options import fill_defaults, parse_section
from prismsr.archs.latent.sampling.enlarged_image import EnlargedImage
from prismsr.archs.latent.sampling.latent_tiling import Window
from prismsr.archs.latent.sampling.vae_tiles import decode_tiled, encode_tiled
from prismsr.archs.latent.stable_diffusion import base_needs, build_unet, build_vae, vae_factor
from prismsr.archs.latent.trained_parts import choose_trained, keep_trained_alone, store_frozen
from prismsr.archs.lgcaa.dino_condition import DinoEncoder, TokenProjection, vit_needs
from prismsr.archs.lgcaa.options import BaseOptions, DinoOptions, LgcaaOptions, SamplingOptions
from prismsr.utils.errors import OptionError
from prismsr.utils.options.problems import join
from prismsr.utils.options.signatures import Section
from prismsr.utils.weights.needs import Need

import torch
from basicsr.utils.registry import ARCH_REGISTRY
from torch import Tensor


class Condition(NamedTuple):
    """What the network knows of the LR images; the same in every step of the sampling.

    features: maps of ControlNet's conditioning embedding, the last is c_f, (B, 256, H / 8, W / 8).
    tokens: the image encoder's tokens c_d before their projection, (B, N, width).
    """

    features: tuple[Tensor, ...]
    tokens: Tensor


@ARCH_REGISTRY.register()
class LGCAANet(LatentNetwork):
    """The noise prediction eps(z_t, t, c_d, c_f) of eq. 1, and X_RGB of the same c_f.

    Trained are the UNet's parameters whose name has a part out of `train_pattern` (LGCAA is inside attn1), ControlNet,
    the projection of DINO's tokens, and the head of X_RGB. All else is frozen, and not in the state dict: that holds
    the trained tensors alone, and loading it is strict about them. The VAE is a part of the network, though forward
    does not use it.

    Args:
        base: UNet, VAE and ControlNet, see BaseOptions.
        dino: the image encoder, see DinoOptions.
        lgcaa: the attention module, see LgcaaOptions.
        rgb: head of X_RGB, see RGBHead; None where no loss uses it.
        train_pattern: names of the UNet's modules that are trained.

    Raises:
        OptionError: an option is wrong; the message has its key.
        WeightsError: weights are not at hand.
    """

    MODEL: ClassVar = "LGCAAModel"
    SAMPLING: ClassVar = SamplingOptions
    NOTES: ClassVar = "lgcaa"
    MEANING: ClassVar = ("lgcaa",)
    FROZEN: ClassVar = ("base", "dino")

    @classmethod
    def weights_needed(cls, arguments: Mapping[str, Any], key: str) -> Iterator[Need]:
        """Yield the weights of Stable Diffusion's networks and of the image encoder."""
        yield from base_needs(fill_defaults(BaseOptions, arguments["base"]), join(key, "base"))
        yield from vit_needs(fill_defaults(DinoOptions, arguments["dino"]), join(key, "dino"))

    def __init__(
        self,
        base: Annotated[dict[str, Any] | None, Section(BaseOptions)] = None,
        dino: Annotated[dict[str, Any] | None, Section(DinoOptions)] = None,
        lgcaa: Annotated[dict[str, Any] | None, Section(LgcaaOptions)] = None,
        rgb: Literal["pixelshuffle", "down", "up", "multiscale"] | None = "pixelshuffle",
        train_pattern: list[str] | None = None,
    ) -> None:
        super().__init__()
        base_options = parse_section(BaseOptions, base, "base")
        dino_options = parse_section(DinoOptions, dino, "dino")
        lgcaa_options = parse_section(LgcaaOptions, lgcaa, "lgcaa")
        sections = {"base": base_options, "dino": dino_options, "lgcaa": lgcaa_options}
        self.sections = {**{name: options.model_dump() for name, options in sections.items()}, "rgb": rgb}
        self.process = NoiseProcess()
        self.dino = DinoEncoder(dino_options)
        self.vae = build_vae(base_options)
        self._build_denoiser(base_options, lgcaa_options, rgb)
        self.projection = TokenProjection(  # from the global generator; DDP hands out process 0's
            self.dino.width, self.unet.config.cross_attention_dim, dino_options.context == "dino_zero"
        )
        whole, patterns = ("controlnet", "projection", "rgb_head"), train_pattern or ["attn1", "attn2"]
        keep_trained_alone(self, choose_trained(self, whole, patterns, "attn1, attn2"))
        store_frozen(self.unet, getattr(torch, base_options.frozen_dtype))

    def _build_denoiser(self, base: BaseOptions, lgcaa: LgcaaOptions, rgb: Any) -> None:
        # these import diffusers, which `import prismsr` has no need of
        from prismsr.archs.lgcaa.injection import inject
        from prismsr.archs.lgcaa.lr_condition import RGBHead, build_controlnet, tap_condition

        self.unet = build_unet(base)
        self.controlnet = build_controlnet(self.unet, base)  # before the injection: it copies strictly
        widths = tap_condition(self.controlnet).widths()
        factor = 2 ** len(widths)
        if factor != vae_factor(self.vae):
            raise OptionError(
                f"base.condition_channels: {len(widths) + 1} widths reduce by {factor}, the VAE reduces by "
                f"{vae_factor(self.vae)}; both must be the same"
            )
        self.factor = self.multiple = factor
        self.latent_channels = self.unet.config.in_channels
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(base.seed)  # not CUDA's, whose state differs between processes
            self.injected = tuple(inject(self.unet, lgcaa))
            self.rgb_head = None if rgb is None else RGBHead(rgb, widths)

    def forward(
        self,
        z_t: Tensor,
        t: Tensor,
        lr_up: Tensor | None = None,
        lr: Tensor | None = None,
        *,
        condition: Condition | None = None,
        control_scale: float = 1.0,
    ) -> tuple[Tensor, tuple[Tensor, ...] | None]:
        """Predict the noise.

        Args:
            z_t: noisy latents (B, 4, h, w), scaled by the VAE's factor (0.18215).
            t: timesteps (B,) or (), 0 to 999.
            lr_up: LR images enlarged to HR's size, RGB (B, 3, 8 h, 8 w) in [0, 1].
            lr: LR images as they are, (B, 3, H', W') in [0, 1], for the image encoder.
            condition: what `condition` made of both, in their place.
            control_scale: weight of ControlNet's residuals; 0 leaves it out.

        Returns:
            The noise (B, 4, h, w), and X_RGB as RGBHead makes it: in training mode, where there is a head, else None.

        Raises:
            ValueError: the images' size is not that of the latents.
        """
        condition = condition if condition is not None else self.condition(lr_up, lr)
        if condition.features[-1].shape[-2:] != z_t.shape[-2:]:
            sizes = [tuple(side * self.factor for side in x.shape[-2:]) for x in (condition.features[-1], z_t)]
            raise ValueError(f"The condition's image is {sizes[0]}, the latents are of {sizes[1]} pixels.")
        context = self.projection(condition.tokens.to(self.projection.weight.dtype))
        residuals = self._residuals(z_t, t, context, condition.features[-1], control_scale)
        noise = self.unet(z_t, t, encoder_hidden_states=context, return_dict=False, **residuals)[0]
        x_rgb = self.rgb_head(condition.features) if self.rgb_head is not None and self.training else None
        return noise, x_rgb

    def condition(self, lr_up: Tensor | None, lr: Tensor | None, tokens: Tensor | None = None) -> Condition:
        """Return what is computed of lr_up (B, 3, H, W) and lr (B, 3, H', W') in [0, 1] alone; sampling does so once.

        In the place of lr there may be the image encoder's tokens, e.g. those of the whole image for its tiles.
        """
        if lr_up is None or (lr is None) == (tokens is None):
            raise ValueError("Give lr_up, and either lr or its tokens.")
        features = self.controlnet.controlnet_cond_embedding.features(lr_up)
        return Condition(tuple(features), self.dino(lr) if tokens is None else tokens)

    def _residuals(self, z_t: Tensor, t: Tensor, context: Tensor, c_f: Tensor, scale: float) -> dict[str, Any]:
        if scale == 0:
            return {}
        down, mid = self.controlnet(
            z_t, t, encoder_hidden_states=context, controlnet_cond=c_f, conditioning_scale=scale, return_dict=False
        )
        return {"down_block_additional_residuals": down, "mid_block_additional_residual": mid}

    def prepare(self, source: EnlargedImage, options: SamplingOptions, generator: torch.Generator) -> "PreparedLGCAA":
        """Return the network as a Sampler uses it, for the images of `source`; nothing is drawn."""
        return PreparedLGCAA(self, source, options)

    def store_frozen_parts(self) -> None:
        """Keep VAE and image encoder as the UNet's frozen weights are kept (network_g.base.frozen_dtype)."""
        dtype = getattr(torch, self.sections["base"]["frozen_dtype"])
        if dtype != torch.float32:
            self.vae.to(dtype)
            self.dino.vit.to(dtype)  # not its mean and std: the resizing before it is in float32

    def enable_gradient_checkpointing(self) -> None:
        """Compute the activations of UNet and ControlNet again instead of keeping them; gradients stay the same."""
        self.unet.enable_gradient_checkpointing()
        self.controlnet.enable_gradient_checkpointing()


class PreparedLGCAA:
    """An LGCAANet with its condition of LR images, as a Sampler uses it; see `sampler.Prepared`."""

    def __init__(self, net: LGCAANet, source: EnlargedImage, options: SamplingOptions) -> None:
        self.net, self.options = net, options
        self.c_f = ConditionFeatures(net.controlnet.controlnet_cond_embedding, source, net.factor)
        self.tokens = net.dino(source.lq)  # of the whole image, for every tile
        self.start = encode_tiled(net.vae, source, options) if options.start == "lr" else None

    def predict(self, window: Window, latents: Tensor, t: Tensor) -> Tensor:
        """Return the noise of a window's latents."""
        condition = Condition((self.c_f.of(window),), self.tokens)
        return self.net(latents, t, condition=condition, control_scale=self.options.control_scale)[0]

    def decode(self, latents: Tensor) -> Tensor:
        """Return the images, in tiles."""
        return decode_tiled(self.net.vae, latents, self.options)


HALO = 4
"""Latents around a window that the conditioning embedding is given, too: it sees 15 pixels to each side."""


class ConditionFeatures:
    """c_f of enlarged LR images window by window, equal to that of the whole image.

    Of an image in tiles it is computed anew at each step, which is one part in a hundred of SD-2's arithmetic there; to
    keep it would take 67 MB for 2048 x 2048 pixels. The embedding, a ConditionEmbedding, reduces the sides by `factor`,
    of which the source's are multiples. `size` is (h, w) of the whole map, in latents.
    """

    def __init__(self, embedding: Any, source: EnlargedImage, factor: int) -> None:
        self.embedding, self.source, self.factor = embedding, source, factor
        self.size = source.padded[0] // factor, source.padded[1] // factor
        self._whole: Tensor | None = None

    def of(self, window: Window) -> Tensor:
        """Return c_f (B, C, h, w) of a window in latents; that of the whole map is kept for the next time."""
        if self._whole is not None:
            return self._whole
        spans = [
            slice(max(part.start - HALO, 0), min(part.stop + HALO, length))
            for part, length in zip(window, self.size, strict=True)
        ]
        maps = self.embedding.features(self.source.window(Window(*spans).enlarge(self.factor)))
        inner = (slice(a.start - b.start, a.stop - b.start) for a, b in zip(window, spans, strict=True))
        c_f = Window(*inner).of(maps[-1])
        if c_f.shape[-2:] == self.size:
            self._whole = c_f
        return c_f
