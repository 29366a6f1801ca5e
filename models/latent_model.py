"""The training step of super-resolution on latents, which LGCAA, StableSR and ResShift share."""

from abc import abstractmethod
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar

from prismsr.archs.latent.latent_network import LatentNetwork
from prismsr.archs.latent.noise import sample_latents
from prismsr.archs.latent.sampling.sampler import Sampler
from prismsr.archs.latent.stable_diffusion import decode_latents, posterior_moments
from prismsr.archs.latent.trained_parts import copy_sharing_frozen, trainable_state
from prismsr.data.degradation.real_esrgan import check_lq_source
from prismsr.models.latent.check import check_no_discriminators, check_prediction_loss, read_network
from prismsr.models.latent.options import DecodedOptions, LatentTrainOptions
from prismsr.models.prism_sr_model import PrismSRModel
from prismsr.models.step.batch_parts import Batch, pick_samples
from prismsr.models.step.loss_terms import StepInputs
from prismsr.utils.full_precision import widen
from prismsr.utils.loss_inputs import input_names
from prismsr.utils.options.problems import Problem
from prismsr.utils.options.sections import Opt

import torch
from basicsr.utils import get_root_logger
from torch import Tensor, nn


class LatentModel(PrismSRModel):
    """PrismSRModel whose generator step predicts something of a noised latent: a network on latents, its `process`.

    Inputs of loss terms (`train.losses`): what the process predicts and its target, by name ("noise_prediction" and
    "noise"), "gt", "gt_usm", "lq". A term that asks for "sr" sees the decoded prediction of the clean latent, RGB about
    [0, 1] and not clamped, with the gt and gt_mask of the same samples, which `train.decoded` chooses; where none is
    chosen it is 0.

    Validation and testing sample as `val.sampling` says.
    """

    NETWORK: ClassVar[type[LatentNetwork]]
    LOSS: ClassVar = "NoiseLoss"
    """The loss without which the network is not trained; its name begins with what the process predicts."""
    OPTIONS: ClassVar = LatentTrainOptions
    HANDS: ClassVar[Mapping[str, str]] = {**dict.fromkeys(("sr", "gt", "lq"), ""), "gt_usm": "degradation.gt_usm"}
    network_state = staticmethod(trainable_state)
    TAKES_ENLARGED_LQ: ClassVar = True  # degradation.enlarge: enlarging an LQ image to its own size changes nothing

    @classmethod
    def check_options(cls, entry: Opt, key: str, opt: Opt, is_train: bool) -> Iterator[Problem]:
        """Check network, precision, crops and losses; latent models have no adversarial step."""
        yield from check_lq_source(entry, key, opt, is_train)
        network = read_network(opt, cls.NETWORK)
        if isinstance(network, Problem):
            yield network
            return
        yield from cls.check_network(network, opt, is_train)
        if is_train:
            yield from check_prediction_loss(opt, cls.LOSS)
            yield from check_no_discriminators(opt)

    @classmethod
    @abstractmethod
    def check_network(cls, network: Mapping[str, Any], opt: Opt, is_train: bool) -> Iterator[Problem]:
        """Check what has to agree with network_g's arguments, which have all defaults."""

    def __init__(self, opt: dict[str, Any]) -> None:
        super().__init__(opt)
        net = self.get_bare_model(self.net_g)
        sampling = dict((opt.get("val") or {}).get("sampling") or {})
        self.sampler = Sampler(net.SAMPLING.model_validate(sampling), opt["scale"])
        net.store_frozen_parts()

    def init_training_settings(self) -> None:
        """Build what PrismSRModel does; frozen parts are stored before the average, which shares them."""
        self.get_bare_model(self.net_g).store_frozen_parts()
        self.decoded = DecodedOptions.model_validate(dict(self.opt["train"].get("decoded") or {}))
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

    # ------------------------------------------------------------------------------------------------ the step

    @abstractmethod
    def _predict(self, z_t: Tensor, part: Batch) -> tuple[Tensor, dict[str, Any]]:
        """Return net_g's prediction for noised latents, through its wrapper, and further inputs of loss terms."""

    def _condition(self, net: Any, part: Batch) -> Batch:
        """Return what is made of the LR images without a gradient, as further entries of the part."""
        return {}

    @torch.no_grad()
    def _latents(self, net: Any, part: Batch) -> Tensor:
        """Return latents drawn from the posteriors of GT, which the dataset gives as gt_latents or the VAE computes."""
        moments = part["gt_latents"] if "gt_latents" in part else posterior_moments(net.vae, part["gt"])
        return sample_latents(moments, part["posterior"], net.vae.config.scaling_factor)

    def _decode(self, net: Any, latents: Tensor) -> Tensor:
        """Return images of clean latents, differentiable to them."""
        return decode_latents(net.vae, latents)

    def _batch(self) -> Batch:
        net = self.get_bare_model(self.net_g)
        height, width = (side // net.factor for side in self.gt.shape[-2:])
        shape = torch.Size((len(self.gt), net.latent_channels, height, width))
        return {**self.batch, **net.process.draw(shape, self.device)}

    def _run_part(self, part: Batch) -> tuple[Tensor, StepInputs]:
        net = self.get_bare_model(self.net_g)
        with self.precision.autocast():
            latents = self._latents(net, part)
            with torch.no_grad():
                part = {**part, **self._condition(net, part)}
            z_t = net.process.add_noise(latents, part)
            prediction, further = self._predict(z_t, part)
        prediction = widen(prediction)

        def decoded(_: StepInputs) -> StepInputs | None:
            chosen = choose_decoded(part["timesteps"], self.decoded)
            if not len(chosen):
                return None
            tensors = {name: value for name, value in part.items() if not isinstance(value, list)}
            samples = pick_samples(tensors, chosen)  # without names, for which the CPU had to know who is chosen
            clean = net.process.predict_clean(z_t[chosen], prediction[chosen], samples)
            with self.precision.autocast():
                images = self._decode(net, clean)
            return StepInputs({**samples, "sr": widen(images)})

        name = net.process.PREDICTS
        computed = {f"{name}_prediction": prediction, name: net.process.target(latents, part), "decoded": decoded}
        return prediction, StepInputs({**part, **further, **computed})

    def _evaluate_terms(self, inputs: StepInputs) -> "OrderedDict[str, Tensor]":
        values: OrderedDict[str, Tensor] = OrderedDict()
        for name, term in self.terms.items():
            source = inputs["decoded"] if "sr" in input_names(term) else inputs
            if source is None:  # in the log all the same: processes have to agree on its names
                values[name] = 0 * inputs[f"{self.get_bare_model(self.net_g).process.PREDICTS}_prediction"].sum()
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
