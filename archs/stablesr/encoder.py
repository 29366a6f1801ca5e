"""StableSR's time-aware encoder: maps of the LR latent at each level of the UNet, anew at each timestep.

It imports diffusers: import it where it is needed, not at the top of a file that `import prismsr` reads.

Paper: SSL, table 2, StableSR (arXiv 2305.07015).
"""

import importlib
from typing import Any

from prismsr.archs.stablesr.options import StructOptions

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

_blocks: Any = importlib.import_module("diffusers.models.unets.unet_2d_blocks")
_embeddings: Any = importlib.import_module("diffusers.models.embeddings")


class TimeAwareEncoder(nn.Module):
    """The encoder half of a UNet, of diffusers' blocks: attention on all levels but the last, and a middle.

    What a level gives before it is halved, and the middle's output in the place of the last level's, each pass one more
    residual block to `channels`. With `gradient_checkpointing` activations are computed again, not kept.
    """

    gradient_checkpointing = False

    def __init__(self, options: StructOptions, latents: int = 4) -> None:
        super().__init__()
        width, time = options.channels, 4 * options.channels
        widths = [width * factor for factor in options.mult]
        settings = {"temb_channels": time, "resnet_eps": 1e-5, "resnet_groups": options.groups}
        self.time_proj = _embeddings.Timesteps(width, flip_sin_to_cos=True, downscale_freq_shift=0)
        self.time_embedding = _embeddings.TimestepEmbedding(width, time)
        self.conv_in = nn.Conv2d(latents, width, 3, padding=1)
        self.down_blocks = nn.ModuleList()
        for level, (before, channels) in enumerate(zip([width, *widths], widths, strict=False)):
            sizes = {"in_channels": before, "out_channels": channels, "num_layers": options.res_blocks, **settings}
            if level < len(widths) - 1:
                head = channels // options.heads
                self.down_blocks.append(_blocks.AttnDownBlock2D(attention_head_dim=head, **sizes))
            else:
                self.down_blocks.append(_blocks.DownBlock2D(add_downsample=False, **sizes))
        self.mid_block = _blocks.UNetMidBlock2D(widths[-1], attention_head_dim=widths[-1] // options.heads, **settings)
        self.to_maps = nn.ModuleList(
            _blocks.ResnetBlock2D(
                in_channels=channels, out_channels=width, temb_channels=time, groups=options.groups, eps=1e-5
            )
            for channels in widths
        )
        self.apply(_start_at_the_identity)

    def forward(self, z_lr: Tensor, t: Tensor) -> tuple[Tensor, ...]:
        """Return maps (B, channels, h, w), (B, channels, h / 2, w / 2), ..., the largest first.

        `z_lr` are scaled latents of the enlarged LR images, (B, 4, h, w), `t` timesteps (B,) or ().
        """
        embedded = self.time_embedding(self.time_proj(t.expand(len(z_lr))).to(z_lr.dtype))
        x, found = self.conv_in(z_lr), []
        for block in self.down_blocks:
            x, states = self._run(block, x, embedded)
            found.append(states[-2] if block.downsamplers else x)
        found[-1] = self._run(self.mid_block, x, embedded)
        return tuple(self._run(block, x, embedded) for block, x in zip(self.to_maps, found, strict=True))

    def _run(self, block: nn.Module, *inputs: Tensor) -> Any:
        if self.gradient_checkpointing and torch.is_grad_enabled():
            return checkpoint(block, *inputs, use_reentrant=False)
        return block(*inputs)


def _start_at_the_identity(module: nn.Module) -> None:
    """Zero the last layer of a residual block or attention, so that its branch begins at 0."""
    if isinstance(module, _blocks.ResnetBlock2D):
        last = module.conv2
    elif isinstance(module, _blocks.Attention):
        last = module.to_out[0]
    else:
        return
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
