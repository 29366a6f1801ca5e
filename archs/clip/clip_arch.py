"""One frozen CLIP for a whole training: image encoder and text encoder over weights that are loaded once.

Paper: SFD, features of eq. 3 and 8.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from prismsr.archs.clip.build import MODEL, build_clip, open_clip
from prismsr.archs.clip.features import ClipImageEncoder, PosEmbedding
from prismsr.archs.clip.stand_in import STAND_IN, StandInImageEncoder
from prismsr.archs.frozen import Frozen
from prismsr.utils.options.problems import join
from prismsr.utils.weights.needs import Need

import torch
from basicsr.utils.registry import ARCH_REGISTRY
from torch import Tensor, nn


class ClipTextEncoder(Frozen):
    """A frozen CLIP text encoder, E_t of the paper, whose token embeddings can be replaced by learnable ones.

    It computes in float32, also under autocast. A token embedding has `width` numbers (512 for RN50), a text's feature
    `embed_dim`, D (1024); a prompt has at most `context_length` tokens, 77.
    """

    token_embedding: nn.Embedding
    positional_embedding: Tensor
    transformer: nn.Module
    ln_final: nn.Module
    text_projection: Tensor
    attn_mask: Tensor

    def __init__(self, clip: Any) -> None:
        super().__init__()
        for name in ("token_embedding", "positional_embedding", "transformer", "ln_final", "text_projection"):
            setattr(self, name, getattr(clip, name))
        self.register_buffer("attn_mask", clip.attn_mask, persistent=False)
        self.context_length, self.width = map(int, self.positional_embedding.shape)
        self.embed_dim = int(self.text_projection.shape[1])
        self.eval()

    def tokenize(self, texts: Sequence[str]) -> Tensor:
        """Return token ids (P, n), start and end marks included, zeros behind the end; n is that of the longest text.

        ValueError where a text has more than context_length tokens.
        """
        tokenizer = open_clip().get_tokenizer(MODEL)
        tokens = [[tokenizer.sot_token_id, *tokenizer.encode(text), tokenizer.eot_token_id] for text in texts]
        longest = max(map(len, tokens))
        if longest > self.context_length:
            raise ValueError(f"A prompt has {longest} tokens; this text encoder takes {self.context_length}.")
        return torch.tensor([[*row, *[0] * (longest - len(row))] for row in tokens])

    def forward(self, ids: Tensor, context: Tensor | None = None) -> Tensor:
        """Return features (P, D) of prompts, not normalised, as open_clip's encode_text; differentiable to context.

        Args:
            ids: token ids (P, n), n <= context_length, with the end mark, which has the highest id, in each row. The
                attention is causal, so that what stands behind the last end mark may be cut off.
            context: embeddings (P, m, width) that stand for the tokens 1 to m of each prompt.
        """
        with torch.autocast(ids.device.type, enabled=False):
            x = self.token_embedding(ids)
            if context is not None:
                x = torch.cat([x[:, :1], context.to(x.dtype), x[:, 1 + context.shape[1] :]], dim=1)
            length = ids.shape[1]
            x = x + self.positional_embedding[:length]
            x = self.ln_final(self.transformer(x, attn_mask=self.attn_mask[:length, :length]))
            features: Tensor = x[torch.arange(len(ids), device=ids.device), ids.argmax(1)] @ self.text_projection
        return features


@ARCH_REGISTRY.register()
class Clip(Frozen):
    """A frozen CLIP: `image` (ClipImageEncoder) and `text` (ClipTextEncoder, None without it).

    It is no part of a trained network: its holder keeps it beside the networks, so that it is in no checkpoint, no
    moving average and no optimiser.

    Args:
        pretrained: open_clip's tag, a local file, or None for random weights; see build_clip.
        model: open_clip's name of the architecture; RN50 is our reconstruction, the paper names none. "st_vgg16", a
            VGG-16 that needs no download, stands in for Feat-D alone: it has no text, and no other argument matters.
        config: changes to the architecture, for small ones; see build_clip.
        layers: see ClipImageEncoder; so pos_embedding and autocast.
        text: whether the text encoder is wanted (64 of RN50's 102 million parameters).
        seed: of random weights.

    Raises:
        ValueError, WeightsError: see build_clip.
    """

    @classmethod
    def weights_needed(cls, arguments: Mapping[str, Any], key: str) -> Iterator[Need]:
        """Yield the weights that `pretrained` names."""
        if arguments["pretrained"] is not None and arguments["model"] != STAND_IN:
            tag = str(arguments["pretrained"])
            is_file = bool(Path(tag).suffix) or "/" in tag
            yield Need(f"file:{tag}" if is_file else f"clip:{arguments['model']}:{tag}", join(key, "pretrained"))

    def __init__(
        self,
        pretrained: str | None = "openai",
        model: str = MODEL,
        config: dict[str, Any] | None = None,
        layers: tuple[int, int, int] = (1, 2, 3),
        pos_embedding: PosEmbedding = "none",
        autocast: bool = False,
        text: bool = True,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.image: ClipImageEncoder | StandInImageEncoder
        self.text: ClipTextEncoder | None = None
        if model == STAND_IN:
            self.image = StandInImageEncoder()
        else:
            clip = build_clip(pretrained, model, config, seed)
            self.image = ClipImageEncoder(clip.visual, layers, pos_embedding, autocast)
            self.text = ClipTextEncoder(clip) if text else None
        self.eval()
