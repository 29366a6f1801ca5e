"""An AutoencoderKL as a network that PrismSRModel can train: the small VAE of the demo, in place of SD's."""

from collections.abc import Iterator
from typing import Any, ClassVar

from prismsr.archs.latent.options import StableDiffusionOptions
from prismsr.archs.latent.stable_diffusion import VAE_CONFIG, build_vae
from prismsr.utils.errors import OptionError
from prismsr.utils.options.problems import Problem
from prismsr.utils.options.sections import Opt, section

import torch
from basicsr.utils.registry import ARCH_REGISTRY
from torch import Tensor, nn

LOG_VARIANCE = -10.0
CONSTANT = 20.0
"""Of the channels that keep an output norm still; activations are about 1."""


@ARCH_REGISTRY.register()
class ImageAutoencoder(nn.Module):
    """diffusers' AutoencoderKL from a config, trained to give back its input. Ours; LGCAA itself never trains a VAE.

    While it trains, the latent gets Gaussian noise of `noise` times its standard deviation, so that the decoder bears
    latents that a diffusion model got a little wrong. There is no KL term: `tools/export.py diffusers vae` measures the
    scaling factor instead.

    Its weights begin so that it is nearly linear (start_nearly_linear): a few hundred steps then suffice.

    Args:
        vae: changes to SD's VAE config.
        noise: see above.
        seed: of the weights.

    Raises:
        OptionError: a config that diffusers does not take, or with as many groups as channels.
    """

    SCALE: ClassVar = 1
    CHANNELS: ClassVar = 3

    @classmethod
    def check_patch(cls, entry: Opt, key: str, size: int, size_key: str) -> Iterator[Problem]:
        """Check that the VAE can halve a patch, so that it gives back the patch's size."""
        widths = section(entry, "vae").get("block_out_channels", VAE_CONFIG["block_out_channels"])
        factor = 2 ** (len(widths) - 1) if isinstance(widths, list) and widths else 1
        if size % factor:
            yield Problem(size_key, f"must be a multiple of {factor}, by which {key} reduces images; got {size}")

    def __init__(self, vae: dict[str, Any], noise: float = 0.1, seed: int = 0) -> None:
        super().__init__()
        self.noise = noise
        self.vae = build_vae(StableDiffusionOptions(path=None, vae=vae, seed=seed)).requires_grad_(True)
        start_nearly_linear(self.vae, seed)
        with torch.no_grad():  # a narrow posterior; without a KL term nothing moves it
            channels = self.vae.config.latent_channels
            self.vae.quant_conv.weight[channels:].zero_()
            self.vae.quant_conv.bias[channels:].fill_(LOG_VARIANCE)
        self.train()

    def forward(self, images: Tensor) -> Tensor:
        """Return images (B, 3, H, W) about [0, 1] of images in [0, 1]; sides are multiples of the VAE's factor."""
        latents = self.vae.encode(2 * images - 1).latent_dist.mean
        if self.training:
            latents = latents + self.noise * latents.detach().std() * torch.randn_like(latents)
        decoded: Tensor = self.vae.decode(latents).sample
        return (decoded + 1) / 2


@torch.no_grad()
def start_nearly_linear(vae: Any, seed: int, key: str = "network_g.vae.norm_num_groups") -> None:
    """Give an AutoencoderKL or VQModel weights from which it learns fast: size, brightness and contrast stay. Ours.

    Convolutions keep the variance, residual branches begin at zero, and both output norms nearly as the identity. The
    last is what matters: a group norm takes brightness and contrast out of the image, and a small decoder learns only
    slowly to put them back. One channel of each group begins as a large constant, which nearly sets the group's mean
    and deviation alone; the norm's weight and bias undo both. The fewer groups, the nearer.

    `key` is that of the number of groups in the option file. OptionError where a group of the output norms has one
    channel.
    """
    generator = torch.Generator().manual_seed(seed)
    for module in vae.modules():
        if isinstance(module, nn.Conv2d):
            module.weight.normal_(std=module.weight[0].numel() ** -0.5, generator=generator)
    for block in vae.modules():
        if hasattr(block, "conv_shortcut"):  # a residual block
            block.conv2.weight.zero_()
            block.conv2.bias.zero_()
    encoder, decoder = vae.encoder, vae.decoder
    _pass_through(encoder.conv_norm_out, encoder.mid_block.resnets[-1].conv2, key)
    _pass_through(decoder.conv_norm_out, decoder.up_blocks[-1].resnets[-1].conv2, key)


def _pass_through(norm: nn.GroupNorm, before: nn.Conv2d, key: str) -> None:
    """Let a norm begin nearly as the identity, but for the first channel of each group, which becomes 0."""
    size = norm.num_channels // norm.num_groups
    if size == 1:
        raise OptionError(
            f"{key} is {norm.num_groups}, and a norm has as many channels; allowed: fewer "
            f"groups than the smallest of block_out_channels"
        )
    mean = CONSTANT / size
    norm.weight.fill_((mean * (CONSTANT - mean)) ** 0.5)  # the deviation of CONSTANT, 0, .., 0
    norm.bias.fill_(mean)
    norm.weight[::size] = norm.bias[::size] = 0
    assert before.bias is not None
    before.bias[::size] = CONSTANT
