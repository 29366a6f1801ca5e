"""Tiny GAN trainings: options, models and batches for the tests of the training step."""

import logging
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import prismsr

import pytest
import torch
from basicsr.models import build_model
from basicsr.utils import set_random_seed
from basicsr.utils.registry import ARCH_REGISTRY
from torch import Tensor, nn
from torch.nn import functional as F

prismsr.patch_basicsr()  # the models here are built, saved and validated as under the launchers

GENERATOR = {"type": "RRDBNet", "num_in_ch": 3, "num_out_ch": 3, "num_feat": 8, "num_block": 2, "num_grow_ch": 4}
DISCRIMINATORS = {
    # without any norm, so that samples do not see each other
    "plain": {"type": "SRVGGNetCompact", "num_feat": 4, "num_conv": 1, "upscale": 1},
    "spectral": {"type": "UNetDiscriminatorSN", "num_in_ch": 3, "num_feat": 4},
    "batch": {"type": "VGGStyleDiscriminator", "num_in_ch": 3, "num_feat": 4},
}
SPSR_LOSSES = {
    "l_g_pix": {"type": "L1Loss"},
    "l_g_branch": {"type": "BranchLoss", "loss_weight": 0.5},
    "l_g_gan": {"type": "AdversarialLoss", "loss_weight": 0.1},
    "l_g_gan_grad": {"type": "AdversarialLoss", "loss_weight": 0.1, "discriminator": "d_grad", "view": "gradient"},
}
"""A second output, a second discriminator and what it sees instead of images."""
LOSSES = {"l_g_pix": {"type": "L1Loss"}, "l_g_gan": {"type": "AdversarialLoss", "loss_weight": 0.1}}
ADAM = {"type": "Adam", "lr": 1e-3}
SGD = {"type": "SGD", "lr": 0.1}


class TwoOutputsNet(nn.Module):
    """Two images in training, as SPSRNet returns them, in three convolutions."""

    OUTPUTS: ClassVar = ("sr", "sr_branch")

    def __init__(self, num_feat: int = 4, upscale: int = 4) -> None:
        super().__init__()
        self.upscale = upscale
        self.first = nn.Conv2d(3, num_feat, 3, padding=1)
        self.b_last = nn.Conv2d(num_feat, 3 * upscale**2, 3, padding=1)
        self.f_last = nn.Conv2d(num_feat + 3 * upscale**2, 3 * upscale**2, 3, padding=1)

    def forward(self, lq: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        features = F.leaky_relu(self.first(lq), 0.1)
        branch = self.b_last(features)
        added = self.f_last(torch.cat([features, branch], 1))
        sr = F.pixel_shuffle(added, self.upscale) + F.interpolate(lq, scale_factor=self.upscale)
        return (sr, F.pixel_shuffle(branch, self.upscale)) if self.training else sr


@pytest.fixture
def make_model(tmp_path) -> Callable[..., Any]:
    """make_model(discriminator, optimizer, network_g, second, **train): a PrismSRModel with the weights of seed 0.

    `second` is a further discriminator, network_d_grad.
    """

    def make(
        discriminator: str | dict | None = "plain",
        optimizer: dict = ADAM,
        network_g: dict = GENERATOR,
        second: str | dict | None = None,
        num_gpu: int = 0,
        **train: Any,
    ) -> Any:
        options = {
            "name": "test",
            "model_type": "PrismSRModel",
            "scale": 4,
            "num_gpu": num_gpu,
            "dist": False,
            "rank": 0,
            "world_size": 1,
            "is_train": True,
            "network_g": dict(network_g),
            "path": {"models": str(tmp_path), "training_states": str(tmp_path)},
            "train": {
                "ema_decay": 0.5,
                "losses": LOSSES if discriminator else {"l_g_pix": {"type": "L1Loss"}},
                "optim_g": dict(optimizer),
                "scheduler": {"type": "MultiStepLR", "milestones": [1000]},
                **train,
            },
        }
        for name, kind in (("d", discriminator), ("d_grad", second)):
            if kind:
                options[f"network_{name}"] = dict(DISCRIMINATORS[kind] if isinstance(kind, str) else kind)
                options["train"][f"optim_{name}"] = dict(optimizer)
        set_random_seed(0)
        return build_model(options)

    return make


@pytest.fixture
def spsr(monkeypatch) -> dict[str, Any]:
    """Arguments of make_model for a generator with two outputs and two discriminators."""
    monkeypatch.setitem(ARCH_REGISTRY._obj_map, "TwoOutputsNet", TwoOutputsNet)
    return {"network_g": {"type": "TwoOutputsNet"}, "second": "plain", "losses": SPSR_LOSSES}


@pytest.fixture(scope="session")
def make_batch(photograph_tensor) -> Callable[..., dict[str, Any]]:
    """make_batch(number, samples, size): crops of the photograph, with paths."""

    def make(number: int = 0, samples: int = 4, size: int = 32) -> dict[str, Any]:
        lefts = [20 + 40 * sample for sample in range(samples)]
        photograph = photograph_tensor.to(torch.get_default_dtype())
        gt = torch.cat([photograph[:, :, 60 + number : 60 + number + size, x : x + size] for x in lefts])
        paths = [f"photos/{chr(ord('a') + sample)}.png" for sample in range(samples)]
        return {"gt": gt.clone(), "lq": F.avg_pool2d(gt, 4), "gt_path": paths}

    return make


@pytest.fixture
def warnings_logged() -> Iterator[list[str]]:
    """What BasicSR's logger says at level warning or above during the test."""
    messages: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: messages.append(record.getMessage())
    logger = logging.getLogger("basicsr")
    logger.addHandler(handler)
    yield messages
    logger.removeHandler(handler)
