"""SPSRNet: an RRDB generator beside a branch that enlarges the gradient map, whose features it takes in at the end.

"Structure-Preserving Super Resolution with Gradient Guidance", CVPR 2020.

Paper: SSL, table 1, SPSR.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from prismsr.utils.weights.renamings import count_parts

import torch
from basicsr.utils.registry import ARCH_REGISTRY
from torch import Tensor, nn
from torch.nn import functional as F

TAPS = (5, 10, 15, 20)
"""The blocks of the generator whose output the branch gets."""
_GROWTH = 32


@ARCH_REGISTRY.register()
class SPSRNet(nn.Module):
    """SPSR's generator; parameters have the release's names, so that its checkpoints load.

    The convolution HR_conv0_new is also the last of `model`, and the state dict has it under both names.

    Args:
        num_in_ch: channels of the input.
        num_out_ch: channels of the output.
        num_feat: width; the blocks' growth is always 32.
        num_block: blocks of the generator, at least 20.
        upscale: 2, 3 or 4.

    Raises:
        ValueError: fewer blocks, or another upscale.
    """

    OUTPUTS: ClassVar = ("sr", "sr_branch")
    """What it returns in training mode, in this order; in evaluation mode it returns SR alone."""

    def __init__(
        self,
        num_in_ch: int = 3,
        num_out_ch: int = 3,
        num_feat: int = 64,
        num_block: int = 23,
        upscale: Literal[2, 3, 4] = 4,
    ) -> None:
        super().__init__()
        if num_block < max(TAPS) or upscale not in (2, 3, 4):
            raise ValueError(f"num_block {num_block} (at least {max(TAPS)}), upscale {upscale} (of 2, 3, 4).")
        width = num_feat
        # before `model`, so that the shared parameters go by this name
        self.HR_conv0_new = _conv(width, width, activated=True)
        self.HR_conv1_new = _conv(width, width)
        blocks = nn.Sequential(*(_RRDB(width) for _ in range(num_block)), *_conv(width, width))
        self.model = nn.Sequential(
            *_conv(num_in_ch, width), _Shortcut(blocks), *_upsampling(width, upscale), *self.HR_conv0_new
        )
        self.get_g_nopadding = GradientOperator()
        self.b_fea_conv = _conv(num_in_ch, width)
        for number in range(1, len(TAPS) + 1):
            self.add_module(f"b_concat_{number}", _conv(2 * width, width))
            self.add_module(f"b_block_{number}", _RRDB(2 * width))
        self.b_LR_conv = _conv(width, width)
        self.b_module = nn.Sequential(
            *_upsampling(width, upscale), *_conv(width, width, activated=True), *_conv(width, width)
        )
        self.conv_w = _conv(width, num_out_ch, kernel=1)
        self.f_concat = _conv(2 * width, width)
        self.f_block = _RRDB(2 * width)
        self.f_HR_conv0 = _conv(width, width, activated=True)
        self.f_HR_conv1 = _conv(width, num_out_ch)

    @classmethod
    def read_arguments(cls, state: Mapping[str, Tensor]) -> dict[str, Any] | None:
        """Return the arguments of the network with these weights, None where they are no SPSRNet's.

        Weights do not tell an enlargement by 3 from one by 2, which is taken.
        """
        names = ("get_g_nopadding.weight_h", "model.0.weight", "b_fea_conv.0.weight", "conv_w.0.weight")
        if any(name not in state for name in names):
            return None
        width, inputs = state["model.0.weight"].shape[:2]
        return {
            "num_in_ch": inputs,
            "num_out_ch": len(state["conv_w.0.weight"]),
            "num_feat": width,
            "num_block": count_parts(state, "model.1.sub") - 1,
            "upscale": 2 ** (count_parts(state, "b_module") - 2),
        }

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Enlarge images (B, num_in_ch, H, W) to SR (B, num_out_ch, upscale * H, upscale * W), not clamped.

        Returns:
            SR; in training mode (SR, the branch's image), of equal shapes: the latter is to be GT's gradient map.
        """
        main, taps = self._run_generator(x)
        branch = self._run_branch(self.get_g_nopadding(x), taps)
        fused = self.f_concat(self.f_block(torch.cat([branch, main], dim=1)))
        sr: Tensor = self.f_HR_conv1(self.f_HR_conv0(fused))
        return (sr, self.conv_w(branch)) if self.training else sr

    def _run_generator(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return the generator's last features and those after the blocks of TAPS."""
        first, shortcut, *rest = self.model
        base = first(x)
        x, taps = base, []
        blocks: Any = shortcut.sub
        for number, block in enumerate(blocks, 1):
            x = block(x)
            if number in TAPS:
                taps.append(x)
        x = base + x
        for layer in rest:
            x = layer(x)
        return self.HR_conv1_new(x), taps

    def _run_branch(self, gradient: Tensor, taps: list[Tensor]) -> Tensor:
        first = self.b_fea_conv(gradient)
        x = first
        for number, tap in enumerate(taps, 1):
            block, concat = getattr(self, f"b_block_{number}"), getattr(self, f"b_concat_{number}")
            x = concat(block(torch.cat([x, tap], dim=1)))
        return self.b_module(self.b_LR_conv(x) + first)


class GradientOperator(nn.Module):
    """The magnitude of each channel's gradient: differences of both neighbours, with zeros beyond the border.

    Its two kernels never learn; they are parameters because the release's checkpoints hold them.
    """

    def __init__(self) -> None:
        super().__init__()
        kernel = torch.zeros(1, 1, 3, 3)
        kernel[0, 0, 1] = torch.tensor([-1.0, 0.0, 1.0])
        self.weight_h = nn.Parameter(kernel, requires_grad=False)
        self.weight_v = nn.Parameter(kernel.transpose(2, 3).contiguous(), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to sqrt(v^2 + h^2 + 1e-6) of the same shape."""
        channels = x.shape[1]
        v, h = (
            F.conv2d(x, kernel.expand(channels, -1, -1, -1), padding=1, groups=channels)
            for kernel in (self.weight_v, self.weight_h)
        )
        return torch.sqrt(v.square() + h.square() + 1e-6)


class _RDB(nn.Module):
    """Five convolutions, each of which sees the outputs of all before it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        for number in range(5):
            last = number == 4
            conv = _conv(channels + number * _GROWTH, channels if last else _GROWTH, activated=not last)
            self.add_module(f"conv{number + 1}", conv)

    def forward(self, x: Tensor) -> Tensor:
        seen = [x]
        for conv in self.children():
            seen.append(conv(torch.cat(seen, dim=1)))
        return seen[-1] * 0.2 + x


class _RRDB(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.RDB1, self.RDB2, self.RDB3 = (_RDB(channels) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        residual: Tensor = self.RDB3(self.RDB2(self.RDB1(x)))
        return residual * 0.2 + x


class _Shortcut(nn.Module):
    """Holds the blocks under the release's name; SPSRNet runs them, because it needs what is between them."""

    def __init__(self, sub: nn.Sequential) -> None:
        super().__init__()
        self.sub = sub


def _conv(inputs: int, outputs: int, *, kernel: int = 3, activated: bool = False) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)
    return nn.Sequential(conv, nn.LeakyReLU(0.2, inplace=True)) if activated else nn.Sequential(conv)


def _upsampling(channels: int, upscale: int) -> list[nn.Module]:
    factors = (2, 2) if upscale == 4 else (upscale,)
    steps = ((nn.Upsample(scale_factor=factor), *_conv(channels, channels, activated=True)) for factor in factors)
    return [layer for step in steps for layer in step]
