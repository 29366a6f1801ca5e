"""SFD-IQA (Semantic Feature Discrimination, CVPR 2025): no-reference quality from SFD's two trained discriminators.

Paper: SFD, eq. 8-10.
"""

import json
import os
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

from prismsr.archs.clip.clip_arch import Clip, ClipTextEncoder
from prismsr.archs.feat_d_arch import FeatD
from prismsr.archs.frozen import Frozen
from prismsr.archs.prompt_discriminator_arch import PromptDiscriminator, similarity_score
from prismsr.metrics.score_store import read_file_state
from prismsr.utils.errors import OptionError
from prismsr.utils.full_precision import widen
from prismsr.utils.options.named import complete_arguments
from prismsr.utils.options.problems import join
from prismsr.utils.options.sections import section
from prismsr.utils.options.signatures import check_arguments
from prismsr.utils.weights.files import network_weights, require_fit
from prismsr.utils.weights.needs import Need, file_needs

import torch
from torch import Tensor, nn
from torch.nn import functional as F

ANTONYMS = ("Good photo.", "Bad photo.")
"""CLIP-IQA's fixed prompts; the first is the better one."""


def compute_sfd_iqa(
    feat_logits: Tensor | None, s_lp: Tensor, s_o: Tensor, alpha_1: float = 0.5, alpha_2: float = 0.5
) -> Tensor:
    """Return s_d = (alpha_1 s_o + alpha_2 s_lp) * mean of sigmoid(s_ij) (eq. 8 to 10); (B,), higher is better.

    Args:
        feat_logits: Feat-D's map s_ij (eq. 8), logits (B, 1, h, w); None leaves its factor out: the score is s_aver =
            alpha_1 s_o + alpha_2 s_lp (eq. 9).
        s_lp, s_o: similarity scores with the learned prompt pair (eq. 3 and 4) and the fixed antonyms, (B,) in [0, 1].
        alpha_1, alpha_2: weights of s_o and s_lp. The paper gives none; with a sum of 1 the result stays in [0, 1].

    Raises:
        ValueError: the three do not belong to the same number of images.

    Example:
        >>> compute_sfd_iqa(torch.zeros(1, 1, 2, 2), s_lp=torch.tensor([0.8]), s_o=torch.tensor([0.4]))
        tensor([0.3000])
        >>> compute_sfd_iqa(None, s_lp=torch.tensor([0.8]), s_o=torch.tensor([0.4]))
        tensor([0.6000])
    """
    if not s_lp.shape == s_o.shape == (s_lp if feat_logits is None else feat_logits).shape[:1]:
        shapes = [None if part is None else tuple(part.shape) for part in (feat_logits, s_lp, s_o)]
        raise ValueError(f"compute_sfd_iqa: a map (B, 1, h, w) and two scores (B,) are needed; got {shapes}.")
    s_aver = alpha_1 * s_o + alpha_2 * s_lp
    if feat_logits is None:
        return s_aver
    return s_aver * torch.sigmoid(widen(feat_logits)).flatten(1).mean(1)


def limit_side(images: Tensor, max_side: int | None) -> Tensor:
    """Return the same images, or, where their longer side exceeds max_side, reduced to it (bicubic with antialiasing).

    Images are (B, 3, H, W) in [0, 1]; with None there is no limit.

    Example:
        >>> limit_side(torch.zeros(1, 3, 100, 50), 20).shape
        torch.Size([1, 3, 20, 10])
    """
    height, width = images.shape[-2:]
    if max_side is None or max(height, width) <= max_side:
        return images
    size = [max(1, round(side * max_side / max(height, width))) for side in (height, width)]
    return F.interpolate(images, size, mode="bicubic", align_corners=False, antialias=True).clamp(0, 1)


class SFDIQA(Frozen):
    """SFD-IQA of images: Feat-D, the learned prompts and CLIP-IQA's antonyms share one pass of the image encoder.

    It stays in evaluation mode, and puts the networks that it is given into it: in training mode Feat-D's spectral
    norm would change with each image. Gradients are not computed.

    Args:
        clip: the frozen CLIP that both discriminators were trained with, on its device.
        feat_d: Feat-D, on the same device; None leaves its factor out, see `compute_sfd_iqa`.
        prompts: the learned prompt pair, on the same device; CLIP's text encoder is attached to it here.
        antonyms: fixed prompts, the better one first.
        alpha_1: weight of the antonyms' score s_o.
        alpha_2: weight of the learned prompts' score s_lp.
        logit_scale: T of both scores; None for the one that the prompts were made with, 100 by default.
        max_side: images with a longer side are reduced to it; None for never. Images are neither cropped nor enlarged.

    Raises:
        ValueError: the CLIP has no text encoder, or another width than the prompts.
    """

    antonym_features: Tensor

    def __init__(
        self,
        clip: Clip,
        feat_d: FeatD | None,
        prompts: PromptDiscriminator,
        antonyms: tuple[str, str] = ANTONYMS,
        alpha_1: float = 0.5,
        alpha_2: float = 0.5,
        logit_scale: float | None = None,
        max_side: int | None = None,
    ) -> None:
        super().__init__()
        if clip.text is None:
            raise ValueError("SFDIQA needs CLIP's text encoder; build Clip with text=True.")
        self.clip, self.feat_d = clip, feat_d
        self.prompts = prompts.attach(clip.text)
        self.alpha_1, self.alpha_2 = alpha_1, alpha_2
        self.logit_scale = prompts.logit_scale if logit_scale is None else logit_scale
        self.max_side = max_side
        self.register_buffer("antonym_features", _encode_texts(clip.text, antonyms), persistent=False)
        self.eval()

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Return scores (B,), higher is better, of RGB (B, 3, H, W) in [0, 1]; ValueError below 32 x 32 pixels."""
        features = self.clip.image(limit_side(images, self.max_side))
        pairs = (self.prompts.text_features(), self.antonym_features)
        s_lp, s_o = (similarity_score(features.final, pair[0], pair[1], self.logit_scale) for pair in pairs)
        feat_logits = None if self.feat_d is None else self.feat_d(features)
        return compute_sfd_iqa(feat_logits, s_lp, s_o, self.alpha_1, self.alpha_2)


def _encode_texts(encoder: ClipTextEncoder, texts: tuple[str, str]) -> Tensor:
    with torch.no_grad():
        features: Tensor = encoder(encoder.tokenize(texts).to(encoder.attn_mask.device))
    return features


def load_sfd_iqa(
    feat_d: str | os.PathLike[str] | None,
    prompts: str | os.PathLike[str],
    clip: Mapping[str, Any] | None = None,
    feat_d_options: Mapping[str, Any] | None = None,
    prompt_options: Mapping[str, Any] | None = None,
    device: str = "cpu",
    **scoring: Any,
) -> SFDIQA:
    """Return SFD-IQA from the checkpoints of a training; the last few are kept, so that calling again is cheap.

    Args:
        feat_d: models/net_d_feat_ITER.pth of a training with options/sfd; None leaves Feat-D's factor out.
        prompts: models/net_d_tg_ITER.pth of the same training.
        clip: arguments of Clip, as in the training's section `clip`; None for its defaults, OpenAI's RN50.
        feat_d_options: arguments of FeatD, as in the training; `channels` is the CLIP's where it is not given.
        prompt_options: arguments of PromptDiscriminator, as in the training; `width` is the CLIP's where not given.
            Checkpoints do not tell the class words: wrong ones give wrong scores without an error.
        device: where to compute.
        scoring: antonyms, alpha_1, alpha_2, logit_scale and max_side of SFDIQA.

    Raises:
        WeightsError: a file is missing or damaged, or does not fit the network that the options describe.
        OptionError: unknown or wrong options.
    """
    # with its time of change, so that a newer checkpoint of the same name is read again
    files = tuple(None if path is None else (str(path), read_file_state(Path(path))) for path in (feat_d, prompts))
    options = {"clip": clip or {}, "feat_d_options": feat_d_options or {}, "prompt_options": prompt_options or {}}
    return _load(files, json.dumps({**options, "scoring": scoring}, sort_keys=True), device)


def list_sfd_iqa_needs(arguments: Mapping[str, Any], key: str) -> Iterator[Need]:
    """Yield the files that load_sfd_iqa reads, and the weights of its CLIP.

    Example:
        >>> [need.what for need in list_sfd_iqa_needs({"feat_d": "d.pth", "prompts": "p.pth"}, "")]
        ['file:d.pth', 'file:p.pth', 'clip:RN50-quickgelu:openai']
    """
    yield from file_needs(arguments, key, "feat_d", "prompts")
    yield from Clip.weights_needed(complete_arguments(Clip, section(arguments, "clip")), join(key, "clip"))


@lru_cache(maxsize=2)
def _load(files: tuple[tuple[str, str] | None, ...], options: str, device: str) -> SFDIQA:
    given = json.loads(options)
    states = [file and network_weights(file[0])[0] for file in files]  # before CLIP, which takes seconds
    clip = cast(Clip, _build(Clip, given["clip"], "clip"))
    if clip.text is None:
        raise OptionError("clip.text: must be true; SFD-IQA compares images with texts")
    parts: list[nn.Module | None] = [clip.to(device)]
    for kind, key, own, file, state in (
        (FeatD, "feat_d_options", {"channels": list(clip.image.channels)}, files[0], states[0]),
        (PromptDiscriminator, "prompt_options", {"width": clip.text.width}, files[1], states[1]),
    ):
        net = _build(kind, {**own, **given[key]}, key)
        if file and state is not None:
            require_fit(net, state, file[0])
            net.load_state_dict(state)
        parts.append(net.to(device) if file else None)
    return cast(SFDIQA, _build(SFDIQA, given["scoring"], "", *parts))


def _build(kind: type[nn.Module], options: Mapping[str, Any], prefix: str, *parts: nn.Module | None) -> nn.Module:
    """Return an object of this kind; options that do not suit it are told by their key path."""
    problems = check_arguments(kind, options, prefix, supplied=("clip", "feat_d", "prompts") if parts else ())
    if problems:
        raise OptionError("; ".join(f"{problem.key}: {problem.message}" for problem in problems))
    try:
        return kind(*parts, **options)
    except ValueError as error:
        raise OptionError(f"{prefix}: {error}" if prefix else str(error)) from error
