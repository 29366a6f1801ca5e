"""DiffIR in BasicSR's trainer: its first stage, its second stage with the prior alone, with images, and with a GAN.

Paper: SSL, table 2, DiffIR.
"""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from prismsr.archs.diffir.diffir_arch import DiffIRS1, DiffIRS2, encode_pair
from prismsr.data.degradation.real_esrgan import check_lq_source
from prismsr.models.prism_sr_model import PrismSRModel
from prismsr.models.step.batch_parts import Batch
from prismsr.models.step.memory import run_uncompiled
from prismsr.utils.full_precision import widen
from prismsr.utils.loss_inputs import input_names
from prismsr.utils.options.entries import FROM, find_registered
from prismsr.utils.options.named import complete_arguments, named_losses
from prismsr.utils.options.problems import Problem, join
from prismsr.utils.options.sections import Opt, section

import torch
from basicsr.archs import build_network
from basicsr.utils.registry import MODEL_REGISTRY
from torch import nn

_SHARED = ("dim", "num_blocks", "num_refinement_blocks", "heads", "ffn_expansion_factor")


def check_diffir(entry: Opt, key: str, opt: Opt, is_train: bool) -> Iterator[Problem]:
    """Yield where the stages do not fit; the hook `check_options` of DiffIRModel."""
    yield from check_lq_source(entry, key, opt, is_train)
    own, taught = (section(opt, f"network_{name}") for name in ("g", "s1"))
    if FROM in own or FROM in taught:  # a file that is not there, which is told already
        return
    kind = find_registered("arch", str(own.get("type")))
    if kind not in (DiffIRS1, DiffIRS2):
        yield Problem("network_g.type", "must be DiffIRS1 or DiffIRS2 with model_type DiffIRModel")
    elif is_train and kind is DiffIRS1 and opt.get("network_s1") is not None:
        yield Problem("network_s1", "must be left out: network_g is the first stage itself, which nobody teaches")
    elif is_train and kind is DiffIRS2:
        yield from _check_teacher(own, taught, opt)


def _check_teacher(own: Opt, taught: Opt, opt: Opt) -> Iterator[Problem]:
    if taught.get("type") != DiffIRS1.__name__:
        text = "must be a DiffIRS1: a DiffIRS2 is trained from the prior that the first stage tells"
        yield Problem("network_s1", text)
        return
    if not section(opt, "path").get("pretrain_network_s1"):
        yield Problem("path.pretrain_network_s1", "is required: it names the first stage's checkpoint")
    first, second = complete_arguments(DiffIRS1, taught), complete_arguments(DiffIRS2, own)
    for name in _SHARED:
        one, other = first[name], second[name]
        if one != other and not (isinstance(one, list | tuple) and [*one] == [*other]):
            yield Problem(join("network_s1", name), f"must be network_g's, {other}; got {one}")


@MODEL_REGISTRY.register()
class DiffIRModel(PrismSRModel):
    """PrismSRModel for both stages of DiffIR; `network_g` is a DiffIRS1 or a DiffIRS2.

    The first stage gets GT beside LQ, in validation as well: its figures are not those of super-resolution.

    The second one is taught by the encoder of a trained first stage, `network_s1`, which stays as it is. Loss terms may
    ask for "ipr", the prior that it predicts, and "ipr_target", the one that the encoder tells. Where no term asks for
    "sr", encoder and diffusion are trained alone and no image is made: DiffIR's encoder phase.
    """

    HANDS: ClassVar[Mapping[str, str]] = {**PrismSRModel.HANDS, "ipr_target": "network_s1"}
    check_options = staticmethod(check_diffir)

    teacher: nn.Module | None = None

    def model_to_device(self, net: nn.Module) -> nn.Module:
        """Move and wrap a network; a restorer that no loss is about is frozen before DDP notes what is trained."""
        if self.is_train and isinstance(net, DiffIRS2):
            self.shows_images = any("sr" in input_names(loss.target) for loss in named_losses(self.opt))
            net.G.requires_grad_(self.shows_images)
        return super().model_to_device(net)

    def init_training_settings(self) -> None:
        """Build what PrismSRModel does, and the encoder that teaches the second stage."""
        if isinstance(self.get_bare_model(self.net_g), DiffIRS2):
            self.teacher = self._load_teacher()
        super().init_training_settings()

    def _load_teacher(self) -> nn.Module:
        path = self.opt["path"]
        first: Any = build_network(self.opt["network_s1"])
        if path.get("pretrain_network_s1") is not None:
            key = path.get("param_key_s1", "params")
            self.load_network(first, path["pretrain_network_s1"], path.get("strict_load_s1", True), key)
        encoder: nn.Module = first.E  # the rest is of no use here
        return encoder.to(self.device).eval().requires_grad_(False)

    def _batch(self) -> Batch:
        if self.teacher is None:
            return self.batch
        with torch.no_grad(), self.precision.autocast():
            target = widen(encode_pair(self.teacher, self.lq, self.gt))
        return {**self.batch, "ipr_target": target, "ipr_noise": torch.randn_like(target)}

    def _generate(self, net: nn.Module, part: Mapping[str, Any]) -> Any:
        if self.teacher is None:
            return net(part["lq"], part["gt"])
        return net(part["lq"], part["ipr_target"], part["ipr_noise"], self.shows_images)

    def test(self) -> None:
        """Compute `output` from `lq` for validation; the first stage gets `gt`, too.

        Raises:
            UserError: the first stage, and a set without GT.
        """
        net: Any = self.get_bare_model(self.net_g)
        if isinstance(net, DiffIRS2):
            super().test()
            return
        net = getattr(self, "net_g_ema", net).eval()
        with torch.no_grad(), run_uncompiled():
            self.output = net(self.lq, getattr(self, "gt", None))
        if self.is_train:
            self.net_g.train()
