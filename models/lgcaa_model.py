"""LGCAA in BasicSR's trainer: Stable Diffusion 2 with ControlNet, trained on noise, DPACM, and decoded images.

Paper: LGCAA, eq. 4.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from prismsr.archs.lgcaa.checkpoint import require_same_options
from prismsr.archs.lgcaa.lgcaa_arch import copy_sharing_frozen, trainable_state
from prismsr.archs.lgcaa.sampling.enlarged_image import enlarge
from prismsr.archs.lgcaa.sampling.options import SamplingOptions
from prismsr.archs.lgcaa.sampling.sampler import Sampler
from prismsr.archs.lgcaa.stable_diffusion import decode_latents, posterior_moments
from prismsr.models.lgcaa.check import check_lgcaa
from prismsr.models.lgcaa.noise import add_noise, draw_noise, make_signal_levels, predict_clean, sample_latents
from prismsr.models.lgcaa.options import DecodedOptions, LGCAATrainOptions
from prismsr.models.prism_sr_model import PrismSRModel
from prismsr.models.step.batch_parts import Batch, pick_samples
from prismsr.models.step.loss_terms import StepInputs
from prismsr.utils.full_precision import widen
from prismsr.utils.loss_inputs import input_names

import torch
from basicsr.utils import get_root_logger
from basicsr.utils.registry import MODEL_REGISTRY
from torch import Tensor, nn


@MODEL_REGISTRY.register()
class LGCAAModel(PrismSRModel):
    """PrismSRModel whose generator step predicts the noise of a latent; `network_g` is an LGCAANet.

    Inputs of loss terms (`train.losses`): "noise_prediction" and "noise" (B, 4, h, w), "x_rgb" (DPACM's images), "gt",
    "gt_usm", "lq". A term that asks for "sr" sees the decoded prediction of the clean latent, RGB about [0, 1] and not
    clamped, with the gt and gt_mask of the same samples, which `train.decoded` chooses; where none is chosen it is 0.

    Validation and testing sample as `val.sampling` says.
    """

    OPTIONS: ClassVar = LGCAATrainOptions
    HANDS: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(("noise_prediction", "noise", "x_rgb", "sr", "gt", "lq"), ""),
        "gt_usm": "degradation.gt_usm",
    }
    check_options = staticmethod(check_lgcaa)
    network_state = staticmethod(trainable_state)
    TAKES_ENLARGED_LQ: ClassVar = True  # degradation.enlarge: enlarging an LQ image to its own size changes nothing

    def __init__(self, opt: dict[str, Any]) -> None:
        sampling = dict((opt.get("val") or {}).get("sampling") or {})
        self.sampler = Sampler(SamplingOptions.model_validate(sampling), opt["scale"])
        super().__init__(opt)
        _store_frozen_parts(self.get_bare_model(self.net_g))

    def init_training_settings(self) -> None:
        """Build what PrismSRModel does, and the schedule of the noise."""
        _store_frozen_parts(self.get_bare_model(self.net_g))  # before the average, which shares them
        self.decoded = DecodedOptions.model_validate(dict(self.opt["train"].get("decoded") or {}))
        self.levels = make_signal_levels(self.device)
        super().init_training_settings()

    def print_network(self, net: nn.Module) -> None:
        """Log how many parameters are trained; the whole network would fill pages."""
        counts = [p.numel() for p in net.parameters()], [p.numel() for p in net.parameters() if p.requires_grad]
        name = type(self.get_bare_model(net)).__name__
        get_root_logger().info(f"Network: {name}, {sum(counts[1]):,d} trained parameters of {sum(counts[0]):,d}.")

    def _average(self) -> nn.Module:
        path, decay = self.opt["path"], self.ema_decay
        get_root_logger().info(f"Use Exponential Moving Average with decay: {decay}, of what is trained.")
        average = copy_sharing_frozen(self.get_bare_model(self.net_g))
        load_path = path.get("pretrain_network_g")
        if load_path is not None:
            self.load_network(average, load_path, path.get("strict_load_g", True), "params_ema")
        for parameter in average.parameters():
            parameter.requires_grad_(False)  # a new tensor, or one that is frozen in net_g as well
        return average.eval()

    def _prepare_running(self, networks: Iterable[nn.Module], train_opt: Mapping[str, Any]) -> None:
        super()._prepare_running(networks, train_opt)
        if train_opt.get("grad_checkpointing"):
            self.get_bare_model(self.net_g).vae.enable_gradient_checkpointing()

    def load_network(
        self, net: nn.Module, load_path: str, strict: bool = True, param_key: str | None = "params"
    ) -> None:
        """Load as PrismSRModel does; WeightsError where the file was trained with another `lgcaa` and strict is set."""
        require_same_options(self.get_bare_model(net), load_path, strict)
        super().load_network(net, load_path, strict, param_key)

    def checkpoint_notes(self) -> dict[str, Any]:
        """Return what net_g's file says beside its tensors: the sections of network_g, all defaults filled in."""
        return {"lgcaa": self.get_bare_model(self.net_g).sections}

    # ------------------------------------------------------------------------------------------------ the step

    def _batch(self) -> Batch:
        net = self.get_bare_model(self.net_g)
        height, width = (side // net.factor for side in self.gt.shape[-2:])
        draws = draw_noise(torch.Size((len(self.gt), net.unet.config.in_channels, height, width)), self.device)
        return {**self.batch, **draws._asdict()}

    def _run_part(self, part: Batch) -> tuple[Tensor, StepInputs]:
        net = self.get_bare_model(self.net_g)
        level = self.levels[part["timesteps"]]
        with self.precision.autocast():
            z_t = add_noise(self._latents(net, part), part["noise"], level)
            lr_up = enlarge(part["lq"], part["gt"].shape[-2:])
            prediction, x_rgb = self.net_g(z_t, part["timesteps"], lr_up, part["lq"])
        prediction = widen(prediction)

        def decoded(_: StepInputs) -> StepInputs | None:
            chosen = choose_decoded(part["timesteps"], self.decoded)
            if not len(chosen):
                return None
            clean = predict_clean(z_t[chosen], prediction[chosen], level[chosen])
            with self.precision.autocast():
                images = decode_latents(net.vae, clean)
            return StepInputs({**pick_samples(part, chosen), "sr": widen(images)})

        computed = {
            "noise_prediction": prediction,
            "x_rgb": None if x_rgb is None else [widen(image) for image in x_rgb],
            "decoded": decoded,
        }
        return prediction, StepInputs({**part, **computed})

    @torch.no_grad()
    def _latents(self, net: Any, part: Batch) -> Tensor:
        """Return latents drawn from the posteriors of GT, which the dataset gives as gt_latents or the VAE computes."""
        moments = part["gt_latents"] if "gt_latents" in part else posterior_moments(net.vae, part["gt"])
        return sample_latents(moments, part["posterior"], net.vae.config.scaling_factor)

    def _evaluate_terms(self, inputs: StepInputs) -> "OrderedDict[str, Tensor]":
        values: OrderedDict[str, Tensor] = OrderedDict()
        for name, term in self.terms.items():
            source = inputs["decoded"] if "sr" in input_names(term) else inputs
            if source is None:  # in the log all the same: processes have to agree on its names
                values[name] = 0 * inputs["noise_prediction"].sum()
            else:
                values.update(self._term_values(name, term, source))
        return OrderedDict((name, widen(value)) for name, value in values.items())

    # ---------------------------------------------------------------------------------------------- validation

    def test(self) -> None:
        """Sample `output` from `lq`, by the moving average where there is one."""
        averaged = getattr(self, "net_g_ema", None)
        net = self.get_bare_model(self.net_g) if averaged is None else averaged
        net.eval()
        self.output = self.sampler(net, self.lq)
        if self.is_train and averaged is None:
            net.train()


def choose_decoded(timesteps: Tensor, options: DecodedOptions) -> Tensor:
    """Return indices, (n,), of the samples that are decoded: up to t_max, those of the smallest timesteps first."""
    order = timesteps.argsort(stable=True)
    if options.t_max is not None:
        order = order[timesteps[order] <= options.t_max]
    return order[: options.samples]


def _store_frozen_parts(net: Any) -> None:
    """Keep VAE and image encoder as the UNet's frozen weights are kept (network_g.base.frozen_dtype)."""
    dtype = getattr(torch, net.sections["base"]["frozen_dtype"])
    if dtype != torch.float32:
        net.vae.to(dtype)
        net.dino.vit.to(dtype)  # not its mean and std: the resizing before it is in float32
