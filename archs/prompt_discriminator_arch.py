"""TG-D, SFD's text-guided discriminator: a learnable pair of prompts (LPP) that a frozen CLIP compares images with.

Paper: SFD, eq. 3-6.
"""

from typing import Any, ClassVar, Literal, NamedTuple

from prismsr.archs.clip.clip_arch import ClipTextEncoder
from prismsr.archs.clip.features import ClipFeatures
from prismsr.utils.full_precision import widen

import torch
from basicsr.utils.registry import ARCH_REGISTRY
from torch import Tensor, nn
from torch.nn import functional as F

LOGIT_SCALE = 100.0


def similarity_logit(final: Tensor, positive: Tensor, negative: Tensor, logit_scale: float = LOGIT_SCALE) -> Tensor:
    """Return g = T * (cos(F_out, F_t+) - cos(F_out, F_t-)), whose sigmoid is eq. 4; (B,), at least float32.

    Image features F_out are (B, D), normalised or not, the text features of both prompts (D,) or (1, D). T is
    `logit_scale`: the paper prints none, which is T = 1; 100 is CLIP's own, and CLIP-IQA's.
    """
    with torch.autocast(final.device.type, enabled=False):  # T multiplies the rounding too
        image = F.normalize(widen(final), dim=-1)
        best, worst = (F.normalize(widen(text), dim=-1) for text in (positive, negative))
        return logit_scale * (image * (best - worst)).sum(-1)


def similarity_score(final: Tensor, positive: Tensor, negative: Tensor, logit_scale: float = LOGIT_SCALE) -> Tensor:
    """Return s = exp(T s+) / (exp(T s+) + exp(T s-)), s+, s- cosines (eq. 3, 4); (B,) in [0, 1], higher is better.

    The arguments are those of `similarity_logit`. With T = 1 it is the equation as printed.
    """
    return torch.sigmoid(similarity_logit(final, positive, negative, logit_scale))


class TextPass(NamedTuple):
    """A pass of the text encoder: a copy of the prompts (2, n, width), and their features (2, D)."""

    prompts: Tensor
    features: Tensor


class _ThroughSharedPass(torch.autograd.Function):
    """The features of a pass, as if they had been computed from the prompts anew: backward goes through its graph."""

    @staticmethod
    def forward(ctx: Any, context: Tensor, known: TextPass) -> Tensor:
        ctx.known = known
        return known.features.detach().clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        known = ctx.known
        (gradient,) = torch.autograd.grad(known.features, known.prompts, gradients[0], retain_graph=True)
        return gradient, None


@ARCH_REGISTRY.register()
class PromptDiscriminator(nn.Module):
    """The learnable prompt pair of SFD (CVPR 2025) as a discriminator: its only parameter is the pair's embeddings.

    Of the paper: one positive and one negative prompt, trained adversarially, everything of CLIP frozen. The length,
    the start and the place of the learnable tokens are our reconstruction after CoOp and CLIP-LIT.

    The frozen text encoder is handed over by `attach` and is no submodule, so that checkpoint, optimiser, moving
    average and DDP see the prompts alone.

    Args:
        context_length: learnable tokens per prompt.
        learning: "coop": the class words stand behind them; "whole": there are no other words, as in CLIP-LIT.
        init: start from the embedding of the word X, or from normal noise of deviation 0.02.
        words: class words of the positive and the negative prompt, for "coop".
        logit_scale: T of `similarity_logit`.
        width: length of CLIP's token embeddings; 512 for RN50.
    """

    features: ClassVar = "final"
    """Which of CLIP's features it judges; an adversarial term with `features: clip` hands them over."""
    ids: Tensor

    def __init__(
        self,
        context_length: int = 16,
        learning: Literal["coop", "whole"] = "coop",
        init: Literal["X", "noise"] = "X",
        words: tuple[str, str] = ("good photo.", "bad photo."),
        logit_scale: float = LOGIT_SCALE,
        width: int = 512,
    ) -> None:
        super().__init__()
        self.logit_scale = logit_scale
        filler = " ".join(["X"] * context_length)
        self.texts = [f"{filler} {word}" if learning == "coop" else filler for word in words]
        self.context = nn.Parameter(0.02 * torch.randn(2, context_length, width))
        self._awaits_start = init == "X"
        self.register_load_state_dict_post_hook(_forget_start)
        self._encoder: list[ClipTextEncoder] = []  # a list hides it from nn.Module
        self._known: tuple[Any, TextPass] | None = None

    def attach(self, encoder: ClipTextEncoder | None) -> "PromptDiscriminator":
        """Hand over the text encoder, which has to be on the same device as the prompts when they are used.

        Prompts that start from X get their values here, unless a state dict was loaded before. ValueError where there
        is no encoder, its embeddings have another length than `width`, or it takes shorter prompts only.
        """
        if encoder is None:
            raise ValueError("PromptDiscriminator needs CLIP's text encoder; build the Clip with text=True.")
        if encoder.width != self.context.shape[2]:
            raise ValueError(f"width is {self.context.shape[2]}, but CLIP's token embeddings have {encoder.width}.")
        ids = encoder.tokenize(self.texts).to(self.context.device)
        self.register_buffer("ids", ids, persistent=False)
        if self._awaits_start:
            start = encoder.token_embedding.weight[ids[:, 1 : 1 + self.context.shape[1]].to(encoder.attn_mask.device)]
            with torch.no_grad():
                self.context.copy_(start)
            self._awaits_start = False
        self._encoder[:] = [encoder]
        self._known = None
        return self

    def text_features(self) -> Tensor:
        """Return f_t+ and F_t-, (2, D), not normalised; RuntimeError where no text encoder is attached.

        The text encoder runs once for given prompts: in a training step for the generator's loss, which gets the
        values, and for both halves of the discriminator's, which backpropagate through the same pass.
        """
        if not self._encoder:
            raise RuntimeError("PromptDiscriminator has no text encoder; call attach(clip.text) first.")
        state = (self.context._version, self.context.data_ptr(), self.training)
        if self._known is None or self._known[0] != state:
            self._known = (state, self._encode())
        known = self._known[1]
        if torch.is_grad_enabled() and self.context.requires_grad and self.training:
            return _ThroughSharedPass.apply(self.context, known)
        return known.features.detach()

    def _encode(self) -> "TextPass":
        """Return one pass of the text encoder, with a graph from a copy of the prompts where they are being trained."""
        with torch.inference_mode(False), torch.set_grad_enabled(self.training):
            prompts = self.context.detach().clone().requires_grad_(self.training)
            return TextPass(prompts, self._encoder[0](self.ids, prompts))

    def forward(self, features: ClipFeatures | Tensor) -> Tensor:
        """Return logits (B,), positive where the image is closer to the positive prompt; differentiable to both sides.

        Features are those of CLIP with `final`, without which ValueError is raised, or F_out itself, (B, D).
        """
        final = features.final if isinstance(features, ClipFeatures) else features
        if final is None:
            raise ValueError("PromptDiscriminator needs the final features; encode the images with final=True.")
        positive, negative = self.text_features()
        return similarity_logit(final, positive, negative, self.logit_scale)


def _forget_start(module: Any, incompatible_keys: Any) -> None:
    module._awaits_start = False
