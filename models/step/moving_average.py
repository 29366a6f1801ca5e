"""The exponential moving average of a network."""

from typing import Any

from prismsr.models.step.memory import to_channels_last

import torch
from basicsr.archs import build_network
from basicsr.utils import get_root_logger
from torch import Tensor, nn


def build_average(model: Any) -> nn.Module:
    """Return net_g_ema of a model as a training begins or goes on: params_ema of net_g's file, or a copy of net_g.

    It is for validation and saving alone, so that it needs no DDP wrapper.
    """
    get_root_logger().info(f"Use Exponential Moving Average with decay: {model.ema_decay}")
    bare, path = model.get_bare_model(model.net_g), model.opt["path"]
    load_path = path.get("pretrain_network_g")
    if model.lora is not None:
        average: nn.Module = model.lora.build_average(bare)
    else:
        average = build_network(model.opt["network_g"]).to(model.device)
        update_average(average, bare, 0)  # what a file lacks that is not loaded strictly begins as net_g's
        if load_path is not None:
            model.load_network(average, load_path, path.get("strict_load_g", True), "params_ema")
    if model.channels_last:
        to_channels_last(average)
    return average.eval()


@torch.no_grad()
def update_average(average: nn.Module, net: nn.Module, decay: float, refused: Tensor | None = None) -> None:
    """Set average = decay * average + (1 - decay) * net for parameters; buffers (batch-norm statistics) are copied.

    Parameters that net does not train keep their bits, which the sum would round, unless decay is 0. `refused` is a
    scalar on the device, 1 where net was not updated and the average shall stay as it is.
    """
    trained = {name: value for name, value in net.named_parameters() if value.requires_grad or decay == 0}
    kept = dict(average.named_parameters())
    own: list[Tensor] = list(trained.values())
    averages: list[Tensor] = [kept[name] for name in trained]
    if own and refused is None:
        torch._foreach_mul_(averages, decay)
        torch._foreach_add_(averages, own, alpha=1 - decay)
    elif refused is not None:
        weight = (1 - decay) * (1 - refused)
        for some in (slice(at, at + 64) for at in range(0, len(own), 64)):  # not a copy of all at once
            torch._foreach_mul_(averages[some], 1 - weight)
            torch._foreach_add_(averages[some], list(torch._foreach_mul(own[some], weight)))
    current = dict(net.named_buffers())
    for name, buffer in average.named_buffers():
        buffer.copy_(current[name])
