"""RankSRGAN's Ranker (ICCV 2019): a score that orders images as a no-reference metric (NIQE, PI) does.

Paper: SSL, table 1, RankSRGAN.
"""

from prismsr.archs.vgg_discriminator_arch import VGGStages

from basicsr.utils.registry import ARCH_REGISTRY
from torch import Tensor, nn

_STAGES = 5


@ARCH_REGISTRY.register()
class RankerVGG(VGGStages):
    """The Ranker (Ranker_VGG12_296 of the release, whose names its parameters have).

    Args:
        num_in_ch: channels of the images.
        num_feat: channels of the first stage.
    """

    def __init__(self, num_in_ch: int = 3, num_feat: int = 64) -> None:
        super().__init__(num_in_ch, num_feat, _STAGES, bias=True)
        self.classifier = nn.Sequential(nn.Linear(self.width, 100), nn.LeakyReLU(0.2, inplace=True), nn.Linear(100, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Return scores (B, 1) of images (B, num_in_ch, H, W) in [0, 1]; lower is better, as with NIQE and PI.

        ValueError where a side is below 32 pixels.
        """
        if min(x.shape[-2:]) < 2**_STAGES:
            raise ValueError(f"The images are {tuple(x.shape[-2:])}; the Ranker needs 32 x 32 pixels or more.")
        return self.classifier(self.compute_features(x).mean((-2, -1)))
