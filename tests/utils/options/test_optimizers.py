"""Adam8bit where bitsandbytes is installed but has no library for the device. bitsandbytes itself is not installed."""

import sys
from types import ModuleType

from prismsr.utils.errors import OptionError
from prismsr.utils.options.optimizers import OPTIMIZERS

import pytest
import torch


class WithoutLibrary(torch.optim.Adam):
    def step(self, closure=None):
        raise AttributeError("'NoneType' object has no attribute 'shape'")  # bitsandbytes 0.46.1 on a CPU


def install(monkeypatch, kind):
    package = ModuleType("bitsandbytes.optim")
    package.Adam8bit = kind
    monkeypatch.setitem(sys.modules, "bitsandbytes.optim", package)


def test_8_bit_adam_without_its_library_says_what_to_do_before_the_first_step(monkeypatch):
    install(monkeypatch, WithoutLibrary)
    with pytest.raises(OptionError, match=r"train\.optim_g: Adam8bit"):
        OPTIMIZERS["Adam8bit"]([torch.zeros(3, requires_grad=True)], lr=1e-3)


def test_8_bit_adam_leaves_parameters_and_random_numbers_as_they_are(monkeypatch):
    install(monkeypatch, torch.optim.Adam)
    parameter, state = torch.ones(3, requires_grad=True), torch.get_rng_state()
    optimizer = OPTIMIZERS["Adam8bit"]([parameter], lr=0.5)
    assert torch.equal(torch.get_rng_state(), state) and torch.equal(parameter, torch.ones(3))
    assert not optimizer.state and optimizer.param_groups[0]["lr"] == 0.5
