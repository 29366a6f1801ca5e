"""The VGG-style discriminators of ESRGAN, SPSR, LDL, BebyGAN, ELAN, SwinIR and RankSRGAN: one class for their sizes.

Paper: SSL, table 1, the discriminators.
"""

from typing import Literal

from basicsr.utils.registry import ARCH_REGISTRY
from torch import Tensor, nn
from torch.nn import functional as F

_STAGES = {128: 5, 192: 6, 256: 6, 296: 5}
_WIDTHS = (1, 2, 4, 8, 8, 8)
"""Channels of each stage, in multiples of num_feat."""


class VGGStages(nn.Module):
    """Stages of two convolutions each, of which the second halves the image; all but the first have a batch norm.

    The first stage has `num_feat` channels; there are at most six. With `bias` every convolution has one; otherwise the
    first alone, which has no batch norm.
    """

    def __init__(self, num_in_ch: int, num_feat: int, stages: int, bias: bool) -> None:
        super().__init__()
        self.stages = stages
        inputs = num_in_ch
        for stage, width in enumerate(_WIDTHS[:stages]):
            outputs = num_feat * width
            first = stage == 0
            self.add_module(f"conv{stage}_0", nn.Conv2d(inputs, outputs, 3, 1, 1, bias=bias or first))
            if not first:
                self.add_module(f"bn{stage}_0", nn.BatchNorm2d(outputs))
            self.add_module(f"conv{stage}_1", nn.Conv2d(outputs, outputs, 4, 2, 1, bias=bias))
            self.add_module(f"bn{stage}_1", nn.BatchNorm2d(outputs))
            inputs = outputs
        self.width = inputs

    def compute_features(self, x: Tensor) -> Tensor:
        """Return the last map, (B, width, H // 2^stages, W // 2^stages), of images (B, num_in_ch, H, W)."""
        for stage in range(self.stages):
            for half in (0, 1):
                x = getattr(self, f"conv{stage}_{half}")(x)
                if (stage, half) != (0, 0):
                    x = getattr(self, f"bn{stage}_{half}")(x)
                x = F.leaky_relu(x, 0.2, inplace=True)
        return x


@ARCH_REGISTRY.register()
class VGGDiscriminator(VGGStages):
    """One logit for each image of a fixed size; parameters have the releases' names.

    With 128 and 256 pixels it is BasicSR's VGGStyleDiscriminator; 192 is BebyGAN's and ELAN's, 296 RankSRGAN's.

    Args:
        num_in_ch: channels of the images.
        num_feat: channels of the first stage: 64, in the original BebyGAN 32.
        input_size: side of the images, pixels.

    Raises:
        ValueError: another input_size.
    """

    def __init__(self, num_in_ch: int = 3, num_feat: int = 64, input_size: Literal[128, 192, 256, 296] = 128) -> None:
        if input_size not in _STAGES:
            raise ValueError(f"input_size is {input_size}; allowed: {', '.join(map(str, _STAGES))}.")
        super().__init__(num_in_ch, num_feat, _STAGES[input_size], bias=False)
        self.input_size = input_size
        side = input_size // 2**self.stages
        self.linear1 = nn.Linear(self.width * side**2, 100)
        self.linear2 = nn.Linear(100, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (B, 1) of images (B, num_in_ch, input_size, input_size); ValueError for another size."""
        if tuple(x.shape[-2:]) != (self.input_size, self.input_size):
            raise ValueError(f"The images are {tuple(x.shape[-2:])}; input_size is {self.input_size}.")
        features = self.linear1(self.compute_features(x).flatten(1))
        return self.linear2(F.leaky_relu(features, 0.2))
