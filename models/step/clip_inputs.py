"""CLIP features for loss terms: one frozen encoder, one pass over SR and one over GT in a step, for all terms.

Paper: SFD, eq. 1-6.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from prismsr.archs.clip.clip_arch import Clip
from prismsr.archs.clip.features import ClipFeatures
from prismsr.losses.adversarial_loss import AdversarialLoss
from prismsr.utils.options.named import complete_arguments
from prismsr.utils.weights.needs import Need

import torch
from torch import Tensor, nn


class ClipInputs:
    """What the section `clip` of an option file adds to a step: the inputs `sr_clip` and `gt_clip`.

    The encoder is no part of any network, so that checkpoints, moving averages and optimisers do not see it. A pass
    over SR keeps its graph for the generator and is used again, cut off, for the discriminators. `options` are
    arguments of Clip.
    """

    @classmethod
    def weights_needed(cls, arguments: Mapping[str, Any], key: str) -> Iterator[Need]:
        """Yield the weights of Clip."""
        return Clip.weights_needed(complete_arguments(Clip, arguments), key)

    def __init__(self, options: Mapping[str, Any], device: torch.device) -> None:
        self.clip = Clip(**options).to(device)
        self.wanted: dict[str, bool] = {}

    def attach(self, net: nn.Module) -> None:
        """Hand the text encoder to a discriminator that compares images with prompts."""
        attach = getattr(net, "attach", None)
        if attach is not None:
            attach(self.clip.text)

    def want(self, terms: Iterable[nn.Module], discriminators: Mapping[str, nn.Module]) -> None:
        """Note which features the discriminators of these terms use, so that no others are computed."""
        names = [term.discriminator for term in terms if isinstance(term, AdversarialLoss) and term.features]
        used = {str(getattr(discriminators[name], "features", "")) for name in names}
        self.wanted = {kind: kind in used for kind in ("middle", "final")}

    def entries(self) -> dict[str, Any]:
        """Return the inputs, each computed when a term asks for it first."""
        encode_gt = torch.no_grad()(self._encode)
        return {
            "sr_clip": lambda inputs: self._encode(inputs["sr"]),
            "gt_clip": lambda inputs: encode_gt(inputs["gt"]),
        }

    def _encode(self, images: Tensor) -> ClipFeatures:
        return self.clip.image(images, **self.wanted)
