"""Adversarial loss: standard (SRGAN) or relativistic average (ESRGAN), for any number of discriminators."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Literal

from prismsr.archs.clip.stand_in import STAND_IN
from prismsr.losses.views import VIEWS
from prismsr.utils.full_precision import widen
from prismsr.utils.options.entries import find_registered
from prismsr.utils.options.problems import Problem, join
from prismsr.utils.options.sections import Opt, number, section
from prismsr.utils.options.signatures import check_arguments, default_of

import torch
from basicsr.losses.gan_loss import GANLoss
from basicsr.utils.registry import LOSS_REGISTRY
from torch import Tensor, nn


@LOSS_REGISTRY.register()
class AdversarialLoss(nn.Module):
    """One discriminator's game: `forward` is the generator's side, `discriminator_backward` the discriminator's.

    Relativistic average GAN (ESRGAN, ECCV 2018 workshops, equations 1 and 2): each logit is compared with the mean
    logit of the other class. The generator's loss is the mean of both comparisons; each half of the discriminator's
    loss is weighted by 0.5, and `loss_weight` applies to the generator only, as in BasicSR's ESRGANModel.

    Args:
        gan_type: form of the loss on logits.
        relativistic: compare with the other class's mean (ESRGAN) instead of with 0 (SRGAN).
        loss_weight: weight of the generator's side.
        real_label_val: target of real images (vanilla, lsgan).
        fake_label_val: target of generated images (vanilla, lsgan).
        discriminator: which network_<name> of the option file plays, "d" for `network_d`.
        features: what the discriminator sees instead of images: "clip" for the features of the frozen encoder that the
            option file's section `clip` describes, computed once for all terms.
        view: what the discriminator sees instead of whole images: "gradient" for their gradient maps (SPSR), "textured"
            for both without what is flat in GT (BebyGAN); in float32 always.
        view_options: arguments of the view; size: 11 and std: 0.025 of "textured".
    """

    inputs: tuple[str, ...] = ("sr", "gt", "discriminators")
    autocast = True  # the discriminator; its logits are float32 before they are compared

    @classmethod
    def check_options(cls, entry: Opt, key: str, opt: Opt, is_train: bool) -> Iterator[Problem]:
        """Check that a discriminator of features gets them, and no other does; and the options of the view."""
        yield from _check_view(entry, key)
        network = f"network_{entry.get('discriminator', default_of(cls, 'discriminator'))}"
        arch, features = str(section(opt, network).get("type")), entry.get("features")
        judge = find_registered("arch", arch)
        if features is None:
            if hasattr(judge, "features"):
                text = f"must be clip: {network} is a {arch}, which judges CLIP's features"
                yield Problem(join(key, "features"), text)
            return
        if judge is not None and not hasattr(judge, "features"):
            yield Problem(join(key, "features"), f"must not be given: {network} is a {arch}, which judges images")
        if opt.get("clip") is None:
            text = f"is required, since {key} uses its features; clip: {{pretrained: openai}} is the paper's"
            yield Problem("clip", text)
        elif section(opt, "clip").get("model") == STAND_IN and getattr(judge, "features", "") == "final":
            yield Problem("clip.model", f"must be a CLIP: {network} is a {arch}, and {STAND_IN} has no text")
        if entry.get("gt") == "gt_usm":
            yield Problem(join(key, "gt"), "must be gt: features are computed of the plain GT image")

    @classmethod
    def check_patch(cls, entry: Opt, key: str, size: int, size_key: str) -> Iterator[Problem]:
        """Check that a window of the view can be mirrored in a GT patch, `size` pixels at `size_key`."""
        window = number(section(entry, "view_options").get("size"))
        if entry.get("view") is not None and window and window // 2 >= size:
            yield Problem(join(key, "view_options.size"), f"must be below twice {size_key}, {size}; got {window}")

    def __init__(
        self,
        gan_type: Literal["vanilla", "lsgan", "wgan", "wgan_softplus", "hinge"] = "vanilla",
        relativistic: bool = False,
        loss_weight: float = 1.0,
        real_label_val: float = 1.0,
        fake_label_val: float = 0.0,
        discriminator: str = "d",
        features: Literal["clip"] | None = None,
        view: Literal["gradient", "textured"] | None = None,
        view_options: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.features = features
        if features is not None:
            self.inputs = (f"sr_{features}", f"gt_{features}", "discriminators")
        self.view = None if view is None else partial(VIEWS[view], **(view_options or {}))
        self.relativistic = relativistic
        self.discriminator = discriminator
        self.criterion = GANLoss(gan_type, real_label_val, fake_label_val, loss_weight)

    def forward(self, sr: Tensor, gt: Tensor, discriminators: Mapping[str, nn.Module]) -> Tensor:
        """Return generator's loss, a scalar.

        Args:
            sr: generated images (B, C, H, W), or their features, with gradient.
            gt: real images of the same shape, or their features.
            discriminators: networks by name; their parameters must not require gradients here.
        """
        sr, gt = self._look(sr, gt)
        net_d = discriminators[self.discriminator]
        if not self.relativistic:
            return self.criterion(_logits(net_d, sr), True, is_disc=False)
        real = _logits(net_d, gt).detach()
        fake = _logits(net_d, sr)
        loss_real = self.criterion(real - torch.mean(fake), False, is_disc=False)
        loss_fake = self.criterion(fake - torch.mean(real), True, is_disc=False)
        return (loss_real + loss_fake) / 2

    def discriminator_backward(
        self, sr: Tensor, gt: Tensor, net_d: nn.Module, backward: Callable[[Tensor], None] = Tensor.backward
    ) -> dict[str, Tensor]:
        """Accumulate the discriminator's gradients and return its figures: real and fake loss, mean logits (scalars).

        Real and fake parts are backpropagated one after the other, with the other class's logits detached, because DDP
        with batch norm does not allow two forward passes before one backward (as BasicSR notes in ESRGANModel). Images
        are as `forward`'s; they get no gradient. `backward` is called with each half's loss; it scales it, say, before
        it calls Tensor.backward.
        """
        sr, gt = self._look(sr.detach(), gt)
        half = 0.5 if self.relativistic else 1.0
        with torch.no_grad():
            reference = torch.mean(_logits(net_d, sr)) if self.relativistic else 0.0
        real = _logits(net_d, gt)
        loss_real = self.criterion(real - reference, True, is_disc=True) * half
        backward(loss_real)
        reference = torch.mean(real.detach()) if self.relativistic else 0.0
        fake = _logits(net_d, sr)
        loss_fake = self.criterion(fake - reference, False, is_disc=True) * half
        backward(loss_fake)
        logits = {"out_real": real.detach().mean(), "out_fake": fake.detach().mean()}
        return {"real": loss_real, "fake": loss_fake, **logits}

    def _look(self, sr: Tensor, gt: Tensor) -> tuple[Tensor, Tensor]:
        return (sr, gt) if self.view is None else self.view(sr, gt)


def _logits(net_d: nn.Module, images: Tensor) -> Tensor:
    return widen(net_d(images))


def _check_view(entry: Opt, key: str) -> Iterator[Problem]:
    view, options = entry.get("view"), entry.get("view_options")
    if options is not None and view is None:
        yield Problem(join(key, "view_options"), "must not be given without a view")
    if view is not None and entry.get("features") is not None:
        yield Problem(join(key, "view"), "must not be given together with features, which are computed of whole images")
    if view in VIEWS and isinstance(options, dict):
        yield from check_arguments(VIEWS[view], options, join(key, "view_options"), supplied=("sr", "gt"))
        size = options.get("size", 3)
        if isinstance(size, int) and (size < 3 or size % 2 == 0):
            yield Problem(join(key, "view_options.size"), f"must be an odd number of 3 or more; got {size}")
