from copy import deepcopy

from prismsr.archs.lgcaa.autoencoder_arch import ImageAutoencoder
from prismsr.utils.errors import OptionError

import pytest
import torch
from torch import nn

VAE = {
    "block_out_channels": [8, 16],
    "down_block_types": ["DownEncoderBlock2D"] * 2,
    "up_block_types": ["UpDecoderBlock2D"] * 2,
    "layers_per_block": 1,
    "mid_block_add_attention": False,
}


class _WithoutNorm(nn.Module):
    def forward(self, x):
        return x * (torch.arange(x.shape[1]) > 0).view(1, -1, 1, 1)


def test_it_begins_as_a_network_without_norms_and_residual_branches():
    """For a dark, flat image and a bright, lively one alike, whose norms would differ most."""
    net = ImageAutoencoder({**VAE, "norm_num_groups": 1}).eval()
    plain = deepcopy(net)
    for part in (plain.vae.encoder, plain.vae.decoder):
        part.conv_norm_out = _WithoutNorm()
        for block in part.modules():
            if hasattr(block, "conv_shortcut"):
                block.conv2 = nn.Conv2d(block.conv2.in_channels, block.conv2.out_channels, 1).requires_grad_(False)
                nn.init.zeros_(block.conv2.weight)
                nn.init.zeros_(block.conv2.bias)
    texture = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    images = torch.cat([0.1 + 0.01 * texture, 0.2 + 0.8 * texture])
    with torch.no_grad():
        wanted, result = plain(images), net(images)
    assert (wanted[0] - wanted[1]).abs().mean() > 0.05
    assert (result - wanted).abs().mean() < 0.05 * wanted.std()


def test_weights_come_from_the_seed_alone():
    torch.manual_seed(3)
    draw = torch.rand(1)
    torch.manual_seed(3)
    first, second = (ImageAutoencoder({**VAE, "norm_num_groups": 1}, seed=seed).state_dict() for seed in (0, 1))
    assert torch.equal(torch.rand(1), draw)
    torch.manual_seed(4)
    again = ImageAutoencoder({**VAE, "norm_num_groups": 1}, seed=0).state_dict()
    assert all(torch.equal(value, again[name]) for name, value in first.items())
    assert not torch.equal(first["vae.encoder.conv_in.weight"], second["vae.encoder.conv_in.weight"])


def test_groups_of_one_channel_are_refused():
    with pytest.raises(OptionError, match=r"network_g\.vae\.norm_num_groups"):
        ImageAutoencoder({**VAE, "norm_num_groups": 8})
