"""SFD-IQA as a metric of option files and of tools/evaluate_iqa.py; see sfd_iqa.py.

Paper: SFD, eq. 8-10.
"""

from typing import Annotated, Any, Literal

from prismsr.archs.clip.clip_arch import Clip
from prismsr.archs.feat_d_arch import FeatD
from prismsr.archs.prompt_discriminator_arch import PromptDiscriminator
from prismsr.metrics.sfd_iqa import ANTONYMS, SFDIQA, list_sfd_iqa_needs, load_sfd_iqa
from prismsr.metrics.tensors import choose_device, make_metric_tensor
from prismsr.utils.options.named import declares
from prismsr.utils.options.signatures import Section

import numpy as np
from basicsr.utils.registry import METRIC_REGISTRY


def _load_scorer(
    device: str | None = None,
    antonyms: tuple[str, str] = ANTONYMS,
    crop_border: int = 0,
    input_order: str = "HWC",
    **options: Any,
) -> SFDIQA:
    return load_sfd_iqa(**options, device=choose_device(device), antonyms=list(antonyms))


@METRIC_REGISTRY.register()
@declares(weights_needed=list_sfd_iqa_needs, load=_load_scorer)
def calculate_sfd_iqa(
    img: np.ndarray,
    feat_d: str | None,
    prompts: str,
    crop_border: int = 0,
    input_order: Literal["HWC", "CHW"] = "HWC",
    clip: Annotated[dict[str, Any] | None, Section(Clip)] = None,
    feat_d_options: Annotated[dict[str, Any] | None, Section(FeatD)] = None,
    prompt_options: Annotated[dict[str, Any] | None, Section(PromptDiscriminator)] = None,
    antonyms: tuple[str, str] = ANTONYMS,
    alpha_1: float = 0.5,
    alpha_2: float = 0.5,
    logit_scale: float | None = None,
    max_side: int | None = None,
    device: str | None = None,
    **kwargs: Any,
) -> float:
    """Return SFD-IQA of an image (equations 8 to 10), without a reference: in [0, 1], higher is better.

        s_d = (alpha_1 s_o + alpha_2 s_lp) * mean over ij of sigmoid(s_ij)

    Without feat_d it is s_aver = alpha_1 s_o + alpha_2 s_lp (equation 9). Networks are loaded once, and kept.

    Args:
        img: BGR image in [0, 255], HWC or CHW, as BasicSR's validation hands it over.
        feat_d: checkpoint of Feat-D, models/net_d_feat_ITER.pth of a training with options/sfd; null for without.
        prompts: checkpoint of the learned prompts, models/net_d_tg_ITER.pth of the same training.
        crop_border: pixels left out at each edge.
        input_order: order of the dimensions.
        clip: arguments of Clip; null for OpenAI's RN50.
        feat_d_options: arguments of FeatD, as in the training.
        prompt_options: arguments of PromptDiscriminator, as in the training.
        antonyms: fixed prompts, the better one first.
        alpha_1: weight of the antonyms' score.
        alpha_2: weight of the learned prompts' score.
        logit_scale: factor of the cosines; null for the one in prompt_options, 100 by default.
        max_side: images with a longer side are reduced to it; null for never.
        device: where to compute; null for the current GPU where there is one.

    Raises:
        WeightsError, OptionError, ValueError: see load_sfd_iqa; the image is smaller than 32 x 32.
    """
    scoring: Any = {"alpha_1": alpha_1, "alpha_2": alpha_2, "logit_scale": logit_scale, "max_side": max_side}
    networks: Any = {"feat_d": feat_d, "prompts": prompts, "clip": clip}
    networks |= {"feat_d_options": feat_d_options, "prompt_options": prompt_options}
    scorer = _load_scorer(device, antonyms, **networks, **scoring)
    return float(scorer(make_metric_tensor(img, input_order, crop_border).to(choose_device(device))))
