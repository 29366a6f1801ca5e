"""The frozen image encoder whose tokens take the place of text: DINO's ViT (Caron et al., ICCV 2021), by timm.

Paper: LGCAA, sec. III.
"""

import importlib
from collections.abc import Iterator
from typing import Any, Literal

from prismsr.archs.frozen import FrozenOnImageNet
from prismsr.archs.lgcaa.options import DinoOptions
from prismsr.utils.errors import OptionError, shorten_error
from prismsr.utils.names import did_you_mean
from prismsr.utils.options.problems import join
from prismsr.utils.weights.files import WeightsError, load_state_dict, require_fit
from prismsr.utils.weights.needs import Need
from prismsr.utils.weights.tensors_only import tensors_only

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def build_vit(options: DinoOptions) -> Any:
    """Return timm's VisionTransformer without a head, for images of any size; weights as the options say.

    OptionError where timm has no such model, it is no ViT, or its arguments are wrong; WeightsError without weights
    that fit.
    """
    load = _is_downloaded(options)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(options.seed)  # not CUDA's, which fork_rng leaves out
        net = _build_from_config(options.config) if options.config is not None else _build_by_name(options.model, load)
    if options.weights is not None:
        state = {key: value for key, value in load_state_dict(options.weights).items() if not key.startswith("head.")}
        require_fit(net, state, options.weights)
        net.load_state_dict(state)
    return net.eval().requires_grad_(False)


def vit_needs(options: DinoOptions, key: str) -> Iterator[Need]:
    """Yield what build_vit loads for the section `dino`, perhaps unchecked, at this key path."""
    if options.weights is not None:
        yield Need(f"file:{options.weights}", join(key, "weights"))
    elif _is_downloaded(options):
        yield Need(f"timm:{options.model}", join(key, "model"))


def _is_downloaded(options: DinoOptions) -> bool:
    return options.pretrained and options.weights is None and options.config is None


def _build_from_config(config: dict[str, Any]) -> Any:
    transformer: Any = importlib.import_module("timm.models.vision_transformer").VisionTransformer
    try:
        return transformer(**{"num_classes": 0, "dynamic_img_size": True, **config})
    except (TypeError, ValueError, AssertionError) as error:
        raise OptionError(f"dino.config does not suit timm's VisionTransformer: {error}") from error


@tensors_only()
def _build_by_name(model: str, pretrained: bool) -> Any:
    timm: Any = importlib.import_module("timm")
    known = timm.list_models("vit_*", pretrained=True)
    if model not in known and (pretrained or not timm.is_model(model)):
        raise OptionError(f"dino.model: timm has no ViT named {model!r}{did_you_mean(model, known)}")
    try:
        net = timm.create_model(model, pretrained=pretrained, num_classes=0, dynamic_img_size=True)
    except TypeError as error:
        raise OptionError(f"dino.model: {model} is no ViT of timm's VisionTransformer: {error}") from error
    except Exception as error:  # the hub's client raises many kinds: no network, no access, a full disk
        raise WeightsError(
            f"The weights of {model} are not on this machine and could not be downloaded. On a machine with a network, "
            f"run: hf download timm/{model} model.safetensors. Then copy its cache (HF_HOME, by default "
            "~/.cache/huggingface) here, or the file anywhere and name it by dino.weights; dino.pretrained: false "
            f"makes random weights. ({shorten_error(error)})"
        ) from error
    if not hasattr(net, "patch_embed") or not hasattr(net, "forward_features"):
        raise OptionError(f"dino.model: {model} gives no tokens; take a ViT, such as vit_base_patch16_224.dino")
    return net


class DinoEncoder(FrozenOnImageNet):
    """c_d before its projection: all tokens (CLS and patches) after a frozen ViT's last norm. Always in eval mode.

    The paper names neither the model nor the size; ViT-B/16 at 224 x 224, aspect ratio lost, is our reconstruction.
    `width` is the length of a token.
    """

    def __init__(self, options: DinoOptions) -> None:
        super().__init__()
        self.vit = build_vit(options)
        self.width = int(self.vit.embed_dim)
        self.size: int | Literal["native"] = options.size
        sides = self.vit.patch_embed.patch_size
        self.patch = (int(sides[0]), int(sides[1]))
        self.train(False)

    def prepare(self, lr: Tensor) -> Tensor:
        """Return LR images (B, 3, h, w) in [0, 1] as the ViT takes them.

        Resized bicubically, antialiased, to size x size; "native" mirrors them up to whole patches instead.
        """
        if self.size == "native":
            pads = [(0, -side % patch) for side, patch in zip(lr.shape[-2:], self.patch, strict=True)]
            flat = (*pads[1], *pads[0])
            mode = "reflect" if flat[1] < lr.shape[-1] and flat[3] < lr.shape[-2] else "replicate"
            lr = F.pad(lr, flat, mode=mode)
        else:
            lr = F.interpolate(lr, (self.size, self.size), mode="bicubic", antialias=True).clamp(0, 1)
        return self.normalise(lr)

    @torch.no_grad()
    def forward(self, lr: Tensor) -> Tensor:
        """Return tokens (B, 1 + patches, width) of RGB images (B, 3, h, w) in [0, 1]; 197 at 224, 16 x 16 patches."""
        return self.vit.forward_features(self.prepare(lr.to(self.mean.dtype)))


class TokenProjection(nn.Linear):
    """The trained projection of tokens to the cross-attention's width (1024 in SD-2), shared by UNet and ControlNet.

    It may start at zero, so that the cross-attention begins with its output's bias alone.
    """

    def __init__(self, width: int, context_width: int, zero: bool = False) -> None:
        super().__init__(width, context_width)
        if zero:
            nn.init.zeros_(self.weight)
            nn.init.zeros_(self.bias)
