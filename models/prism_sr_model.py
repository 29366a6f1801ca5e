"""One training step for PSNR-oriented and GAN super-resolution, composed of the loss terms an option file lists."""

from collections import OrderedDict
from typing import Any, ClassVar

from prismsr.losses.adversarial_loss import AdversarialLoss
from prismsr.models.loss_terms import StepInputs, build_terms, evaluate_term
from prismsr.utils.optimizers import OPTIMIZERS
from prismsr.utils.option_schema import PrismTrainOptions

import torch
from basicsr.archs import build_network
from basicsr.models.sr_model import SRModel
from basicsr.utils import get_root_logger
from basicsr.utils.registry import MODEL_REGISTRY
from torch import Tensor, nn


@MODEL_REGISTRY.register()
class PrismSRModel(SRModel):
    """Super-resolution model whose method is its option file: `train.losses` lists the terms, nothing else changes.

    With L1Loss, a perceptual loss and a relativistic AdversarialLoss it is ESRGAN (same weights as BasicSR's
    ESRGANModel);
    without any `network_d*` it is PSNR-oriented training. Every `network_d<suffix>` is a discriminator with its own
    `optim_d<suffix>`; an AdversarialLoss names the one it plays against.
    """

    OPTIONS: ClassVar = PrismTrainOptions

    def init_training_settings(self) -> None:
        """Build EMA network, discriminators, loss terms, optimisers and schedulers from the option file."""
        train_opt = self.opt["train"]
        self.net_d_iters: int = train_opt.get("net_d_iters") or 1
        self.net_d_init_iters: int = train_opt.get("net_d_init_iters") or 0
        self.ema_decay: float = train_opt.get("ema_decay") or 0
        if self.ema_decay > 0:
            self._init_ema()
        self.discriminators: dict[str, nn.Module] = {
            key.removeprefix("network_"): self._build_discriminator(key)
            for key in self.opt
            if key.startswith("network_d") and self.opt[key] is not None
        }
        self.terms = build_terms(train_opt["losses"]).to(self.device)
        self.net_g.train()
        self.setup_optimizers()
        self.setup_schedulers()

    def _init_ema(self) -> None:
        get_root_logger().info(f"Use Exponential Moving Average with decay: {self.ema_decay}")
        # only for validation and saving, so that it needs no DDP wrapper
        self.net_g_ema = build_network(self.opt["network_g"]).to(self.device)
        load_path = self.opt["path"].get("pretrain_network_g")
        if load_path is not None:
            self.load_network(self.net_g_ema, load_path, self.opt["path"].get("strict_load_g", True), "params_ema")
        else:
            self.model_ema(0)  # copies net_g's weights
        self.net_g_ema.eval()

    def _build_discriminator(self, key: str) -> nn.Module:
        suffix = key.removeprefix("network_")
        net = self.model_to_device(build_network(self.opt[key]))
        self.print_network(net)
        path_opt = self.opt["path"]
        load_path = path_opt.get(f"pretrain_network_{suffix}")
        if load_path is not None:
            strict = path_opt.get(f"strict_load_{suffix}", True)
            self.load_network(net, load_path, strict, path_opt.get(f"param_key_{suffix}", "params"))
        return net.train()

    def setup_optimizers(self) -> None:
        """One optimiser for net_g (`optim_g`) and one for each discriminator (`optim_d…`)."""
        self.optimizer_g = self._optimizer("g", self.net_g)
        self.discriminator_optimizers = {name: self._optimizer(name, net) for name, net in self.discriminators.items()}
        self.optimizers.extend([self.optimizer_g, *self.discriminator_optimizers.values()])

    def _optimizer(self, name: str, net: nn.Module) -> torch.optim.Optimizer:
        options = dict(self.opt["train"][f"optim_{name}"])
        parameters = [parameter for parameter in net.parameters() if parameter.requires_grad]
        return self.get_optimizer(options.pop("type"), parameters, **options)

    def get_optimizer(self, optim_type: str, params: Any, lr: float, **kwargs: Any) -> torch.optim.Optimizer:
        """As BasicSR's, with every optimiser of prismsr.utils.optimizers instead of Adam alone."""
        return OPTIMIZERS[optim_type](params, lr=lr, **kwargs)

    def feed_data(self, data: dict[str, Any]) -> None:
        """Move a batch to the device: lq, gt (where present) and gt_mask (where the dataset has masks)."""
        super().feed_data(data)
        self.gt_mask: Tensor | None = data["gt_mask"].to(self.device) if "gt_mask" in data else None

    def optimize_parameters(self, current_iter: int) -> None:
        """One step: generator (every net_d_iters, after net_d_init_iters), then each discriminator, then the EMA."""
        log: OrderedDict[str, Tensor] = OrderedDict()
        self._require_discriminator_gradients(False)
        self.optimizer_g.zero_grad()
        self.output = self.net_g(self.lq)
        if not self.discriminators or (current_iter % self.net_d_iters == 0 and current_iter > self.net_d_init_iters):
            log.update(self._step_generator())
        self._require_discriminator_gradients(True)
        for term in self.terms.values():
            if isinstance(term, AdversarialLoss):
                log.update(self._step_discriminator(term))
        self.log_dict = self.reduce_loss_dict(log)
        if self.ema_decay > 0:
            self.model_ema(decay=self.ema_decay)

    def _require_discriminator_gradients(self, required: bool) -> None:
        for net in self.discriminators.values():
            net.requires_grad_(required)

    def _step_inputs(self) -> StepInputs:
        return StepInputs(
            sr=self.output,
            gt=self.gt,
            lq=self.lq,
            gt_mask=self.gt_mask,
            sr_ema=self._ema_output,
            discriminators=self.discriminators,
        )

    @torch.no_grad()
    def _ema_output(self) -> Tensor:
        return self.net_g_ema(self.lq)

    def _step_generator(self) -> "OrderedDict[str, Tensor]":
        inputs = self._step_inputs()
        values: OrderedDict[str, Tensor] = OrderedDict()
        for name, term in self.terms.items():
            values.update(evaluate_term(name, term, inputs))
        total: Tensor = sum(values.values())  # type: ignore[assignment]
        total.backward()
        self.optimizer_g.step()
        return values

    def _step_discriminator(self, term: AdversarialLoss) -> "OrderedDict[str, Tensor]":
        name = term.discriminator
        optimizer = self.discriminator_optimizers[name]
        optimizer.zero_grad()
        figures = term.discriminator_backward(self.output, self.gt, self.discriminators[name])
        optimizer.step()
        return OrderedDict(
            [
                (f"l_{name}_real", figures["real"]),
                (f"l_{name}_fake", figures["fake"]),
                (f"out_{name}_real", figures["out_real"]),
                (f"out_{name}_fake", figures["out_fake"]),
            ]
        )

    def save(self, epoch: int, current_iter: int) -> None:
        """Save net_g (with its EMA), every discriminator and the training state."""
        if self.ema_decay > 0:
            self.save_network([self.net_g, self.net_g_ema], "net_g", current_iter, param_key=["params", "params_ema"])
        else:
            self.save_network(self.net_g, "net_g", current_iter)
        for name, net in self.discriminators.items():
            self.save_network(net, f"net_{name}", current_iter)
        self.save_training_state(epoch, current_iter)  # last: a state on disk means that its networks are there too
