"""Steps of a latent model in tests, alone and under DistributedDataParallel."""

from pathlib import Path
from typing import Any

import pytest
import torch
from basicsr.models import build_model
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel


def take_step(model: Any, batch: dict[str, Tensor], iteration: int = 1, seed: int = 0) -> dict[str, float]:
    """Take a step from a seed, and return its figures."""
    torch.manual_seed(seed)
    model.feed_data(batch)
    model.optimize_parameters(iteration)
    return model.get_current_log()


def copy_parameters(net: nn.Module) -> dict[str, Tensor]:
    """Return copies of a network's parameters."""
    return {name: value.clone() for name, value in net.named_parameters()}


def assert_wrapped_steps_equal(alone: Any, options: dict[str, Any], batch: dict[str, Tensor], folder: Path) -> None:
    """Compare two steps with those under DistributedDataParallel, which fails where a parameter has no gradient."""
    distributed.init_process_group("gloo", init_method=f"file://{folder}/store", rank=0, world_size=1)
    try:
        torch.manual_seed(0)
        model = build_model(options | {"dist": True})
        assert isinstance(model.net_g, DistributedDataParallel)
        model.net_g.module.load_state_dict(alone.net_g.state_dict())
        for iteration in (1, 2):
            wanted = take_step(alone, batch, iteration)
            assert take_step(model, batch, iteration) == pytest.approx(wanted, rel=1e-4)
    finally:
        distributed.destroy_process_group()
