"""Train a part of a network first: `train.only`."""

from typing import Any

from prismsr.utils.errors import OptionError

from basicsr.utils import get_root_logger
from torch import nn


class PartialTraining:
    """Lets only parameters of a network learn whose names begin so, up to an iteration; then all that did before.

    The others keep their place in the optimiser, without a state until they learn. What is done depends on the
    iteration alone, so that a resumed training does the same. OptionError where no name begins so.
    """

    def __init__(self, net: nn.Module, parameters: list[str], until: int) -> None:
        trained = {name: parameter for name, parameter in net.named_parameters() if parameter.requires_grad}
        unknown = [start for start in parameters if not any(name.startswith(start) for name in trained)]
        if unknown:
            known = ", ".join(sorted({name.split(".")[0] for name in trained}))
            raise OptionError(
                f"train.only.parameters: no parameter of {type(net).__name__} that is trained has a name that begins "
                f"with {' or '.join(unknown)}; they begin with {known}."
            )
        self.others = [parameter for name, parameter in trained.items() if not name.startswith(tuple(parameters))]
        self.until = until
        part = len(trained) - len(self.others)
        get_root_logger().info(f"Up to iteration {until} only {part} of {len(trained)} parameter tensors are trained.")

    def begin(self, iteration: int) -> None:
        """Begin a step."""
        for parameter in self.others:
            parameter.requires_grad_(iteration > self.until)


def build_partial_training(model: Any) -> PartialTraining | None:
    """Return what `train.only` of a model asks for, None where it is not set.

    OptionError also for a distributed model, since DDP expects a gradient of each parameter.
    """
    options = model.opt["train"].get("only")
    if options is None:
        return None
    if model.opt["dist"]:
        raise OptionError("train.only: works in a single process; start this training without --launcher.")
    return PartialTraining(model.get_bare_model(model.net_g), **options)
