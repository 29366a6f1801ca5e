"""The discriminators of a model: built from the networks that an option file lists, and their part of a step."""

from collections import OrderedDict
from collections.abc import Sequence
from functools import partial
from typing import Any

from prismsr.losses.adversarial_loss import AdversarialLoss
from prismsr.models.step.batch_parts import add_figures, communicating
from prismsr.models.step.loss_terms import StepInputs, term_inputs

from basicsr.archs import build_network
from torch import Tensor, nn


def build_discriminators(model: Any) -> dict[str, nn.Module]:
    """Return a network for each `network_d<suffix>` of the options, by the name `d<suffix>`, in training mode."""
    keys = [key for key in model.opt if key.startswith("network_d") and model.opt[key] is not None]
    return {key.removeprefix("network_"): _build(model, key) for key in keys}


def _build(model: Any, key: str) -> nn.Module:
    name, path_opt = key.removeprefix("network_"), model.opt["path"]
    net = build_network(model.opt[key])
    if model.clip is not None:
        model.clip.attach(net)
    net = model.model_to_device(net)
    model.print_network(net)
    load_path = path_opt.get(f"pretrain_network_{name}")
    if load_path is not None:
        strict = path_opt.get(f"strict_load_{name}", True)
        model.load_network(net, load_path, strict, path_opt.get(f"param_key_{name}", "params"))
    return net.train()


def require_gradients(networks: dict[str, nn.Module], required: bool) -> None:
    """Let the parameters of all networks have gradients, or none."""
    for net in networks.values():
        net.requires_grad_(required)


def add_gradients(model: Any, term: AdversarialLoss, inputs: Sequence[StepInputs]) -> "OrderedDict[str, Tensor]":
    """Add the gradient of a term's discriminator over all parts of a batch; return its figures.

    `inputs` are those of each part, without the generator's graph.
    """
    net = model.discriminators[term.discriminator]
    figures: OrderedDict[str, Tensor] = OrderedDict()
    backward = partial(model.precision.backward, parts=len(inputs))
    for number, part in enumerate(inputs, 1):
        with communicating(net, last=number == len(inputs)), model.precision.run_term(term):
            fake, real = term_inputs(term, part)[:2]
            add_figures(figures, term.discriminator_backward(fake, real, net, backward), len(inputs))
    return figures
