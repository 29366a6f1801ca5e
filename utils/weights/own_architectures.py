"""Registered networks that spandrel does not know, beside those that it knows.

A network's class takes part by the hook `read_arguments(state)`, which returns the arguments of the network with these
weights, or None where they are another network's. Of the arguments `num_in_ch` and `num_out_ch`, or `colors`, say the
channels (3 without them), `upscale` or `scale` the enlargement, or the class by SCALE. A network with windows has their
grid as `window_size`.
"""

from collections.abc import Mapping
from typing import Any

from prismsr.utils.options.entries import find_registered, registered_names
from prismsr.utils.weights.renamings import rename_to_fit

import spandrel  # type: ignore[import-not-found,import-untyped,unused-ignore]
from torch import Tensor


def make_registry() -> Any:
    """Return spandrel's registry with ours before its own: it takes SPSRNet for an ESRGAN."""
    registry = spandrel.MAIN_REGISTRY.copy()
    others = tuple(support.architecture.id for support in registry)
    networks = {find_registered("arch", name) for name in registered_names("arch")}
    own = [_Own(network) for network in networks if hasattr(network, "read_arguments")]
    registry.add(*(spandrel.ArchSupport.from_architecture(architecture, others) for architecture in own))
    return registry


class _Own(spandrel.Architecture[Any]):  # type: ignore[misc,unused-ignore]
    def __init__(self, network: Any) -> None:
        name = network.__name__
        super().__init__(
            id=f"prismsr.{name}", name=name, detect=lambda state: network.read_arguments(state) is not None
        )
        self.network = network

    def load(self, state_dict: Mapping[str, Tensor]) -> Any:
        arguments = self.network.read_arguments(state_dict)
        net = self.network(**arguments)
        net.hyperparameters = arguments  # as spandrel's own have them
        colors = arguments.get("colors")
        return spandrel.ImageModelDescriptor(
            net,
            rename_to_fit(net, state_dict),
            architecture=self,
            purpose="SR",
            tags=[],
            supports_half=True,
            supports_bfloat16=True,
            scale=arguments.get("upscale") or arguments.get("scale") or self.network.SCALE,
            input_channels=colors or arguments.get("num_in_ch", 3),
            output_channels=colors or arguments.get("num_out_ch", 3),
            size_requirements=spandrel.SizeRequirements(multiple_of=getattr(net, "window_size", 1)),
        )
