"""One training step for PSNR-oriented and GAN super-resolution, composed of the loss terms an option file lists."""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from typing import Any, ClassVar

from prismsr.data.degradation.real_esrgan import RealESRGANDegradation, build_degradation, check_lq_source
from prismsr.losses.adversarial_loss import AdversarialLoss
from prismsr.models.lora.adapters import merge_state
from prismsr.models.lora.training import Lora, add_lora
from prismsr.models.options import PrismTrainOptions
from prismsr.models.step.batch_parts import Batch, add_figures, communicating, join, split_batch
from prismsr.models.step.clip_inputs import ClipInputs
from prismsr.models.step.discriminators import add_gradients, build_discriminators, require_gradients
from prismsr.models.step.finite_guard import GENERATOR, FiniteGuard, update
from prismsr.models.step.gradient_checkpointing import checkpoint_blocks
from prismsr.models.step.loss_terms import StepInputs, build_terms, evaluate_term, name_outputs
from prismsr.models.step.mean_figures import MeanFigures
from prismsr.models.step.memory import compile_in_place, explaining_out_of_memory, run_uncompiled, to_channels_last
from prismsr.models.step.moving_average import build_average, update_average
from prismsr.models.step.partial_training import build_partial_training
from prismsr.models.step.precision import Precision
from prismsr.models.training.model_files import save_generator
from prismsr.utils.full_precision import widen
from prismsr.utils.options.optimizers import FUSED, OPTIMIZERS, WITHOUT_FOREACH
from prismsr.utils.padding import pad_to_windows
from prismsr.utils.weights.network_notes import require_same_options
from prismsr.utils.weights.tensors_only import tensors_only

import torch
from basicsr.models.sr_model import SRModel
from basicsr.utils.registry import MODEL_REGISTRY
from torch import Tensor, nn


@MODEL_REGISTRY.register()
class PrismSRModel(SRModel):
    """Super-resolution model whose method is its option file: `train.losses` lists the terms, nothing else changes.

    With L1Loss, a perceptual loss and a relativistic AdversarialLoss it is ESRGAN (same weights as BasicSR's
    ESRGANModel);
    without any `network_d*` it is PSNR-oriented training. Every `network_d<suffix>` is a discriminator with its own
    `optim_d<suffix>`; an AdversarialLoss names the one it plays against.

    `train` further says how the step is computed: amp, accum_iter, grad_clip, only, channels_last, compile,
    grad_checkpointing, max_skipped_updates (docs/guide/training.md). With their defaults the step
    is BasicSR's, bit for bit.

    With accum_iter, each part of the batch is treated as the batch of a process of its own would be. The update is that
    of the whole batch for losses that are means over samples. It is not for what looks across samples: batch norm and
    the relativistic mean see a part, the self-similarity loss averages over a part's edge pixels, and the power
    iteration of a spectral norm advances once per part.
    """

    OPTIONS: ClassVar = PrismTrainOptions
    HANDS: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(("sr", "gt", "lq", "discriminators"), ""),
        **{"gt_usm": "degradation.gt_usm", "sr_ema": "train.ema_decay", "sr_clip": "clip", "gt_clip": "clip"},
    }
    """Inputs that loss terms may ask for, each with the key of the option file that it needs. `network_g` may name
    more in OUTPUTS."""
    check_options = staticmethod(check_lq_source)

    batch: Batch
    lq: Tensor
    gt: Tensor
    degradation: RealESRGANDegradation | None = None
    clip: ClipInputs | None = None
    lora: Lora | None = None
    network_state = staticmethod(merge_state)  # what is saved of a network

    @tensors_only()
    def __init__(self, opt: dict[str, Any]) -> None:
        """Build networks, losses and what training needs; whatever files they read are read as tensors only."""
        super().__init__(opt)

    def init_training_settings(self) -> None:
        """Build EMA network, discriminators, loss terms, optimisers and schedulers from the option file."""
        train_opt = self.opt["train"]
        self.net_d_iters: int = train_opt.get("net_d_iters") or 1
        self.net_d_init_iters: int = train_opt.get("net_d_init_iters") or 0
        self.ema_decay: float = train_opt.get("ema_decay") or 0
        self.accum_iter: int = train_opt.get("accum_iter") or 1
        self.grad_clip: float | None = train_opt.get("grad_clip")
        self.channels_last: bool = train_opt.get("channels_last") or False
        self.precision = Precision(train_opt.get("amp"), self.device)
        self.figures = MeanFigures()
        self.lora = add_lora(self)
        self.only = build_partial_training(self)
        if self.ema_decay > 0:
            self.net_g_ema = self._average()
        clip = self.opt.get("clip")
        self.clip = None if clip is None else ClipInputs(clip, self.device)
        self.discriminators = build_discriminators(self)
        self.terms = build_terms(train_opt["losses"]).to(self.device)
        if self.clip is not None:
            bare = {name: self.get_bare_model(net) for name, net in self.discriminators.items()}
            self.clip.want(self.terms.values(), bare)
        self.degradation = build_degradation(self.opt, self.device)
        self.net_g.train()
        networks = {GENERATOR: self.net_g, **self.discriminators}
        self._prepare_running(networks.values(), train_opt)
        limit = train_opt.get("max_skipped_updates") or 10
        self.guard = FiniteGuard(networks, limit, self.precision, lambda: self.batch)
        self.setup_optimizers()
        self.guard.deferred = (
            self.device.type == "cuda"
            and self.precision.scaler is None
            and all(optimizer.defaults.get("fused") for optimizer in self.optimizers)
        )
        self.setup_schedulers()

    def _average(self) -> nn.Module:
        return build_average(self)

    def _prepare_running(self, networks: Iterable[nn.Module], train_opt: Mapping[str, Any]) -> None:
        """Change how the networks are run, not what they compute nor what is saved of them."""
        if train_opt.get("grad_checkpointing"):
            checkpoint_blocks(self.get_bare_model(self.net_g))
        mode = train_opt.get("compile")
        for net in networks:
            if self.channels_last:
                to_channels_last(net)
            if mode:
                # CUDA graphs ("reduce-overhead") overwrite an output by the next; of a discriminator two are compared
                compile_in_place(net, mode if net is self.net_g and mode is not True else "default")

    def setup_optimizers(self) -> None:
        """Build one optimiser for net_g (`optim_g`) and one for each discriminator (`optim_d…`)."""
        self.optimizer_g = self._optimizer("g", self.net_g)
        self.discriminator_optimizers = {name: self._optimizer(name, net) for name, net in self.discriminators.items()}
        self.optimizers.extend([self.optimizer_g, *self.discriminator_optimizers.values()])

    def _optimizer(self, name: str, net: nn.Module) -> torch.optim.Optimizer:
        options = dict(self.opt["train"][f"optim_{name}"])
        parameters = [parameter for parameter in net.parameters() if parameter.requires_grad]
        return self.get_optimizer(options.pop("type"), parameters, **options)

    def get_optimizer(self, optim_type: str, params: Any, lr: float, **kwargs: Any) -> torch.optim.Optimizer:
        """Build an optimiser: every one of prismsr.utils.options.optimizers, where BasicSR knows Adam alone.

        All tensors are updated together (foreach), as torch does by itself on CUDA only; with Adam to the same bits.
        On CUDA those that can are fused: they leave out an update that the GPU refuses, without asking the CPU.
        """
        if self.device.type == "cuda" and optim_type in FUSED and "foreach" not in kwargs:
            kwargs.setdefault("fused", True)
        if not kwargs.get("fused") and optim_type not in WITHOUT_FOREACH:
            kwargs.setdefault("foreach", True)
        return OPTIMIZERS[optim_type](params, lr=lr, **kwargs)

    def feed_data(self, data: dict[str, Any]) -> None:
        """Take over a batch, its tensors moved to the device; BasicSR's code finds lq and gt as attributes too.

        With the section `degradation`, a batch with blur kernels gets its LQ images here (docs/guide/degradation.md).
        """
        if self.degradation is not None:
            data = self.degradation.batch(data)
        self.batch = {
            name: value.to(self.device, non_blocking=True) if isinstance(value, Tensor) else value
            for name, value in data.items()
        }
        if self.is_train and self.channels_last:
            self.batch["lq"] = self.batch["lq"].to(memory_format=torch.channels_last)
        super().feed_data(self.batch)

    def optimize_parameters(self, current_iter: int) -> None:
        """Take one step: generator (every net_d_iters, after net_d_init_iters), then each discriminator, then the EMA.

        An update whose gradient is not finite is left out, with a warning.

        Raises:
            TrainingError: no finite gradient in max_skipped_updates steps in a row, or out of memory.
        """
        with explaining_out_of_memory(current_iter, lambda: {"lq": self.lq, "gt": self.gt}):
            self.guard.begin(current_iter)
            self._step(current_iter)
            self.figures.add(self._log)
            self.precision.end_step(keep_scale=not self.guard.losses_finite)
            self.guard.end()

    def _step(self, current_iter: int) -> None:
        self._log: OrderedDict[str, Tensor] = OrderedDict()
        self._inputs: list[StepInputs] = []  # of each part, for the discriminators
        if self.only is not None:
            self.only.begin(current_iter)
        parts = split_batch(self._batch(), self.accum_iter)
        if not self.discriminators or (current_iter % self.net_d_iters == 0 and current_iter > self.net_d_init_iters):
            require_gradients(self.discriminators, False)
            updated = self._step_generator(parts)
            require_gradients(self.discriminators, True)
            if not updated:
                return
        else:
            with torch.no_grad():
                runs = [self._run_part(part) for part in parts]
            self._inputs = [inputs for _, inputs in runs]
            self.output = join([output for output, _ in runs])
        for term in self.terms.values():
            if isinstance(term, AdversarialLoss):
                self._step_discriminator(term)
        if self.ema_decay > 0:
            self.model_ema(decay=self.ema_decay)

    def _batch(self) -> Batch:
        return self.batch

    # ---------------------------------------------------------------------------------------------- generator

    def _step_generator(self, parts: list[Batch]) -> bool:
        self.optimizer_g.zero_grad()
        outputs = []
        losses: OrderedDict[str, Tensor] = OrderedDict()
        for number, part in enumerate(parts, 1):
            with communicating(self.net_g, last=number == len(parts)):
                output, inputs = self._run_part(part)
                values = self._evaluate_terms(inputs)
                self.precision.backward(sum(values.values()), len(parts))  # type: ignore[arg-type]
            # a compiled generator may write its next output over this one
            outputs.append(output.detach() if len(parts) == 1 else output.detach().clone())
            if self.discriminators:
                self._inputs.append(inputs.without_graph(outputs[-1]))
            add_figures(losses, values, len(parts))
        self.output = join(outputs)
        self._log.update(losses)
        return update(self, GENERATOR, self.optimizer_g, losses)

    def _run_part(self, part: Batch) -> tuple[Tensor, StepInputs]:
        with self.precision.autocast():
            output = self._generate(self.net_g, part)
        named = name_outputs(self.get_bare_model(self.net_g), output)
        outputs = {name: widen(images) for name, images in named.items()}
        return next(iter(outputs.values())), self._step_inputs(outputs, part)

    def _generate(self, net: nn.Module, part: Mapping[str, Any]) -> Any:
        """Run net_g or its average on a part of the batch; a model may hand it more than LQ."""
        return net(part["lq"])

    def _evaluate_terms(self, inputs: StepInputs) -> "OrderedDict[str, Tensor]":
        values: OrderedDict[str, Tensor] = OrderedDict()
        for name, term in self.terms.items():
            values.update(self._term_values(name, term, inputs))
        return OrderedDict((name, widen(value)) for name, value in values.items())

    def _term_values(self, name: str, term: nn.Module, inputs: StepInputs) -> Mapping[str, Tensor]:
        with self.precision.run_term(term):
            return evaluate_term(name, term, inputs)

    def _step_inputs(self, outputs: Mapping[str, Tensor], part: Batch) -> StepInputs:
        computed: dict[str, Any] = {**outputs, "discriminators": self.discriminators}
        if self.ema_decay > 0:
            computed["sr_ema"] = lambda _: self._ema_output(part)
        if self.clip is not None:
            computed |= self.clip.entries()
        return StepInputs({**part, **computed})

    @torch.no_grad()
    def _ema_output(self, part: Batch) -> Tensor:
        with self.precision.autocast():
            output = self._generate(self.net_g_ema, part)
        return widen(output)

    # ------------------------------------------------------------------------------------------ discriminators

    def _step_discriminator(self, term: AdversarialLoss) -> None:
        name = term.discriminator
        optimizer = self.discriminator_optimizers[name]
        optimizer.zero_grad()
        figures = add_gradients(self, term, self._inputs)
        losses = {f"l_{name}_{kind}": figures[kind] for kind in ("real", "fake")}
        self._log.update(losses)
        self._log.update({f"out_{name}_{kind}": figures[f"out_{kind}"] for kind in ("real", "fake")})
        update(self, name, optimizer, losses)

    # --------------------------------------------------------------------------------- average, log and state

    def model_ema(self, decay: float = 0.999) -> None:
        """Update net_g_ema as BasicSR does, and copy net_g's buffers (batch-norm statistics), which BasicSR leaves."""
        update_average(self.net_g_ema, self.get_bare_model(self.net_g), decay, self.guard.refused)

    def test(self) -> None:
        """Compute `output` from `lq` for validation: in float32, and uncompiled since the images differ in size.

        A network with a window_size (SwinIR) gets the image mirrored to a multiple of it, as in BasicSR's SwinIRModel.
        One of spandrel's mirrors it itself.
        """
        lq, (height, width) = self.lq, self.lq.shape[-2:]
        pads_itself = hasattr(self.get_bare_model(self.net_g), "facts")
        self.lq = pad_to_windows(lq, 1 if pads_itself else self.opt["network_g"].get("window_size", 1))
        with run_uncompiled() if self.is_train and self.opt["train"].get("compile") else nullcontext():
            super().test()
        scale, self.lq = self.output.shape[-2] // self.lq.shape[-2], lq
        self.output = self.output[..., : height * scale, : width * scale]

    def get_current_log(self) -> "OrderedDict[str, float]":
        """Return means of the steps since the last reading, and over processes; all processes have to call it.

        BasicSR returns the last step alone. Only here tensors become numbers: that waits for the GPU, and BasicSR does
        it in every step.
        """
        return self.reduce_loss_dict(self.figures.read())

    def training_state(self) -> dict[str, Any]:
        """Return what resuming needs beside networks, optimisers and schedulers: plain tensors and numbers."""
        degradation = None if self.degradation is None else self.degradation.training_state()
        return {
            "skipped_in_row": self.guard.skipped_in_row,
            "figures": self.figures.state(),
            "scaler": self.precision.state(),
            "degradation": degradation,
        }

    def load_training_state(self, state: dict[str, Any]) -> None:
        """Take over what `training_state` returned."""
        self.guard.skipped_in_row = state["skipped_in_row"]
        self.figures.load_state(state.get("figures", {}), self.device)
        self.precision.load_state(state["scaler"])
        if self.degradation is not None and state.get("degradation") is not None:
            self.degradation.load_training_state(state["degradation"])

    def load_network(
        self, net: nn.Module, load_path: str, strict: bool = True, param_key: str | None = "params"
    ) -> None:
        """Load as BasicSR does; WeightsError where the file was trained with other options and strict is set."""
        require_same_options(self.get_bare_model(net), load_path, strict)
        super().load_network(net, load_path, strict, param_key)

    def checkpoint_notes(self) -> dict[str, Any]:
        """Return what net_g's file says beside its tensors: what a network with NOTES was built with."""
        net: Any = self.get_bare_model(self.net_g)
        return {net.NOTES: net.sections} if hasattr(net, "NOTES") else {}

    def save(self, epoch: int, current_iter: int) -> None:
        """Save net_g (with its EMA), every discriminator and the training state."""
        self.guard.catch_up()  # here, where every process takes part: they tell each other what they know of a cause
        save_generator(self, current_iter)
        for name, net in self.discriminators.items():
            self.save_network(net, f"net_{name}", current_iter)
        self.save_training_state(epoch, current_iter)  # last: a state on disk means that its networks are there too
