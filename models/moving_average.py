"""The exponential moving average of a network."""

import torch
from torch import nn


@torch.no_grad()
def update_average(average: nn.Module, net: nn.Module, decay: float) -> None:
    """average = decay * average + (1 - decay) * net for parameters; buffers (batch-norm statistics) are copied.

    Args:
        average: network that holds the average, changed in place.
        net: the trained network, of the same class.
        decay: from 0 (a copy) to 1.
    """
    trained = dict(net.named_parameters())
    names, kept = zip(*average.named_parameters(), strict=True)
    torch._foreach_mul_(kept, decay)
    torch._foreach_add_(kept, [trained[name] for name in names], alpha=1 - decay)
    current = dict(net.named_buffers())
    for name, buffer in average.named_buffers():
        buffer.copy_(current[name])
