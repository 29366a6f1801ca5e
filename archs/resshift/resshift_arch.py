"""ResShift's network: diffusers' UNet with Swin layers, its shifting schedule, and a frozen VQ autoencoder.

Paper: SSL, table 2, ResShift.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar

from prismsr.archs.latent.latent_network import LatentNetwork
from prismsr.archs.latent.options import fill_defaults, parse_section
from prismsr.archs.latent.sampling.enlarged_image import EnlargedImage
from prismsr.archs.latent.sampling.latent_tiling import Window
from prismsr.archs.latent.sampling.vae_tiles import decode_tiled, encode_tiled
from prismsr.archs.latent.trained_parts import keep_trained_alone
from prismsr.archs.resshift.options import (
    ResShiftSampling,
    SwinOptions,
    UNetOptions,
    VQOptions,
    latent_multiple,
    vq_factor,
)
from prismsr.archs.resshift.published_names import rename_unet
from prismsr.archs.resshift.residual_shift import ResidualShift, ScheduleOptions
from prismsr.archs.resshift.unet import build_unet
from prismsr.archs.resshift.vq_model import build_vq, decode_latents, encode_images
from prismsr.utils.options.problems import join
from prismsr.utils.options.signatures import Section
from prismsr.utils.padding import pad_to_windows
from prismsr.utils.weights.needs import Need, file_needs

import torch
from basicsr.utils.registry import ARCH_REGISTRY
from torch import Tensor
from torch.nn import functional as F


@ARCH_REGISTRY.register()
class ResShiftNet(LatentNetwork):
    """The prediction of x_0 from x_t, t and the LR image. The UNet alone is trained, and alone in the state dict.

    Args:
        unet: see UNetOptions.
        swin: see SwinOptions.
        vq: the autoencoder, see VQOptions.
        schedule: see ScheduleOptions.

    Raises:
        OptionError: an option is wrong; the message has its key.
        WeightsError: the autoencoder's weights are not at hand.
    """

    MODEL: ClassVar = "ResShiftModel"
    SAMPLING: ClassVar = ResShiftSampling
    NOTES: ClassVar = "resshift"
    MEANING: ClassVar = ("swin", "schedule")
    FROZEN: ClassVar = ("vq",)

    @classmethod
    def weights_needed(cls, arguments: Mapping[str, Any], key: str) -> Iterator[Need]:
        """Yield the autoencoder's file."""
        yield from file_needs(fill_defaults(VQOptions, arguments["vq"]).model_dump(), join(key, "vq"), "path")

    def __init__(
        self,
        unet: Annotated[dict[str, Any] | None, Section(UNetOptions)] = None,
        swin: Annotated[dict[str, Any] | None, Section(SwinOptions)] = None,
        vq: Annotated[dict[str, Any] | None, Section(VQOptions)] = None,
        schedule: Annotated[dict[str, Any] | None, Section(ScheduleOptions)] = None,
    ) -> None:
        super().__init__()
        unet_options, swin_options = parse_section(UNetOptions, unet, "unet"), parse_section(SwinOptions, swin, "swin")
        vq_options = parse_section(VQOptions, vq, "vq")
        self.process = ResidualShift(parse_section(ScheduleOptions, schedule, "schedule"))
        sections = {"unet": unet_options, "swin": swin_options, "vq": vq_options, "schedule": self.process.options}
        self.sections = {name: options.model_dump() for name, options in sections.items()}
        self.latent_channels, self.quantize = vq_options.latents, vq_options.quantize
        self.factor = vq_factor(self.sections)
        self.multiple = self.factor * (latent_multiple(self.sections) or 1)
        self.unet = build_unet(unet_options, swin_options, self.latent_channels)
        self.vae = build_vq(vq_options).eval()
        keep_trained_alone(self, [f"unet.{name}" for name, _ in self.unet.named_parameters()])

    def forward(self, z_t: Tensor, t: Tensor, lq: Tensor) -> Tensor:
        """Predict x_0, (B, C, h, w).

        Args:
            z_t: x_t, (B, C, h, w).
            t: timesteps (B,) or (), from 0 to steps - 1.
            lq: LR images, RGB (B, 3, h, w) in [0, 1], enlarged where they are smaller than the latents.

        Raises:
            ValueError: sides are not multiples of `multiple`.
        """
        multiple = self.multiple // self.factor
        if any(side % multiple for side in z_t.shape[-2:]):
            raise ValueError(f"Latents are {tuple(z_t.shape[-2:])}; both sides must be multiples of {multiple}.")
        if lq.shape[-2:] != z_t.shape[-2:]:
            lq = F.interpolate(lq, z_t.shape[-2:], mode="bicubic")
        inputs = torch.cat([self.process.scale_input(z_t, t), 2 * lq - 1], 1)
        return self.unet(inputs, t.to(z_t.device), return_dict=False)[0]

    def encode(self, images: Tensor) -> Tensor:
        """Return latents (B, C, h, w) of RGB images (B, 3, H, W) about [0, 1]."""
        return encode_images(self.vae, images)

    def decode(self, latents: Tensor) -> Tensor:
        """Return RGB images (B, 3, H, W) about [0, 1], not clamped, of latents (B, C, h, w); differentiable to them."""
        return decode_latents(self.vae, latents, self.quantize)

    @classmethod
    def convert_published(cls, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return a published UNet's tensors, such as those of resshift_realsrx4_s15_v1.pth, in this network's names.

        WeightsError as rename_unet.
        """
        return {f"unet.{name}": value for name, value in rename_unet(state).items()}

    def prepare(
        self, source: EnlargedImage, options: ResShiftSampling, generator: torch.Generator
    ) -> "PreparedResShift":
        """Return the network as a Sampler uses it, for the images of `source`; nothing is drawn."""
        return PreparedResShift(self, source, options)


class PreparedResShift:
    """A ResShiftNet with its LR images, mirrored to whole windows, as a Sampler uses it; see `sampler.Prepared`."""

    def __init__(self, net: ResShiftNet, source: EnlargedImage, options: ResShiftSampling) -> None:
        self.net, self.options = net, options
        scale = source.size[0] // source.lq.shape[-2]
        lq = pad_to_windows(source.lq, max(net.multiple // scale, 1))
        padded = EnlargedImage(lq, source.padded, clamp=False)
        self.start: Tensor = encode_tiled(net.vae, padded, options, net.encode)
        self.lq = F.interpolate(lq, self.start.shape[-2:], mode="bicubic")

    def predict(self, window: Window, latents: Tensor, t: Tensor) -> Tensor:
        """Return x_0 of a window's latents."""
        return self.net(latents, t, window.of(self.lq))

    def decode(self, latents: Tensor) -> Tensor:
        """Return the images, in tiles."""
        return decode_tiled(self.net.vae, latents, self.options, self.net.decode)
