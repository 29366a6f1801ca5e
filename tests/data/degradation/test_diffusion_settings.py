"""What ResShift and StableSR add to the degradation of two orders, against their steps written plainly."""

import random

from prismsr.data.degradation.kernels import ItemKernels, global_generators_from
from prismsr.data.degradation.options import DegradationOptions
from prismsr.data.degradation.real_esrgan import RealESRGANDegradation
from prismsr.utils.options.files import load_options

import numpy as np
import pytest
import torch
from basicsr.data.degradations import random_add_gaussian_noise_pt, random_add_poisson_noise_pt
from basicsr.data.transforms import paired_random_crop
from basicsr.models.realesrgan_model import RealESRGANModel
from basicsr.utils import DiffJPEG, USMSharp, set_random_seed
from basicsr.utils.img_process_util import filter2D
from pydantic import ValidationError
from torch.nn import functional as F

SCALE, GT_SIZE, SIDE, BATCH, QUEUE, STEPS = 4, 32, 64, 2, 4, 12
JPEG = DiffJPEG(differentiable=False)


@pytest.fixture(scope="module")
def values(repository):
    """The section of StableSR's degradation, small."""
    section = load_options(repository / "options" / "_base_" / "degradation_stablesr.yml")["degradation"]
    return {**section, "gt_size": GT_SIZE, "queue_size": QUEUE}


@pytest.fixture
def batches(repository, photograph_tensor):
    train = load_options(repository / "options" / "_base_" / "degradation_stablesr.yml")["datasets"]["train"]
    kernels = ItemKernels.read(train)
    result = []
    for step in range(STEPS):
        with global_generators_from(np.random.default_rng(step)):
            drawn = [kernels.draw() for _ in range(BATCH)]
        corners = [(20 * step, 10), (10 * step, 300)]
        gt = torch.cat([photograph_tensor[:, :, y : y + SIDE, x : x + SIDE] for y, x in corners]).contiguous()
        result.append({"gt": gt, **{name: torch.stack([part[name] for part in drawn]) for name in drawn[0]}})
    return result


def _resize_factor(probabilities, low_high):
    kind = random.choices(["up", "down", "keep"], probabilities)[0]
    return {"up": lambda: np.random.uniform(1, low_high[1]), "down": lambda: np.random.uniform(low_high[0], 1)}.get(
        kind, lambda: 1
    )()


def _noise(image, values, suffix):
    gray = values[f"gray_noise_prob{suffix}"]
    if np.random.uniform() < values[f"gaussian_noise_prob{suffix}"]:
        return random_add_gaussian_noise_pt(
            image, sigma_range=values[f"noise_range{suffix}"], gray_prob=gray, clip=True, rounds=False
        )
    return random_add_poisson_noise_pt(
        image, scale_range=values[f"poisson_scale_range{suffix}"], gray_prob=gray, clip=True, rounds=False
    )


def _jpeg(image, low_high):
    quality = torch.zeros(len(image)).uniform_(*low_high)
    return JPEG(image.clamp(0, 1), quality=quality).detach().contiguous()


def _mode():
    return random.choice(["area", "bilinear", "bicubic"])


def _plain_lq(source, batch, values, second_order_prob):
    """Return the LQ images in [0, 1], not rounded, and whether the second order took place."""
    image = filter2D(source, batch["kernel1"])
    factor = _resize_factor(values["resize_prob"], values["resize_range"])
    image = _jpeg(_noise(F.interpolate(image, scale_factor=factor, mode=_mode()), values, ""), values["jpeg_range"])
    second = second_order_prob == 1 or random.random() < second_order_prob
    if second:
        if np.random.uniform() < values["second_blur_prob"]:
            image = filter2D(image, batch["kernel2"])
        side = int(SIDE // SCALE * _resize_factor(values["resize_prob2"], values["resize_range2"]))
        image = _noise(F.interpolate(image, size=(side, side), mode=_mode()), values, "2")
    if np.random.uniform() < 0.5:
        image = filter2D(F.interpolate(image, size=SIDE // SCALE, mode=_mode()), batch["sinc_kernel"])
        return _jpeg(image, values["jpeg_range2"]).clamp(0, 1), second
    image = F.interpolate(_jpeg(image, values["jpeg_range2"]), size=SIDE // SCALE, mode=_mode())
    return filter2D(image, batch["sinc_kernel"]).clamp(0, 1), second


def test_the_second_order_with_a_probability(batches, values):
    """ResShift's: without it JPEG and the sinc filter follow all the same. LQ is rounded or not, as the options say."""
    seen = set()
    for step, batch in enumerate(batches):
        changes = {"second_order_prob": 0.5, "gt_size": SIDE, "round_lq": step % 2 == 0}
        degradation = RealESRGANDegradation(DegradationOptions(**{**values, **changes}), SCALE)
        set_random_seed(step)
        lq = degradation(**batch)["lq"]
        set_random_seed(step)
        expected, second = _plain_lq(batch["gt"], batch, values, 0.5)
        seen.add((second, step % 2))
        if step % 2 == 0:
            expected = (expected * 255).round() / 255
        assert torch.equal(lq, expected)
    assert len(seen) == 4


@pytest.mark.parametrize("usm", [False, True])
def test_an_enlarged_lq_that_is_sometimes_gt(batches, values, monkeypatch, usm):
    """StableSR's: enlarged, clamped, with some probability replaced by GT, and then mixed by BasicSR's pool."""
    monkeypatch.setattr(torch.Tensor, "cuda", lambda tensor: tensor)
    stock = RealESRGANModel.__new__(RealESRGANModel)
    stock.queue_size = QUEUE
    sharpen = USMSharp()
    set_random_seed(2)
    expected, clean = [], 0
    for batch in batches:
        gt = sharpen(batch["gt"]) if usm else batch["gt"]
        lq, _ = _plain_lq(gt, batch, values, 1)
        stock.gt, lq = paired_random_crop(gt, lq, GT_SIZE, SCALE)
        stock.lq = F.interpolate(lq, size=(GT_SIZE, GT_SIZE), mode="bicubic").clamp(0, 1)
        if random.random() < 0.3:
            stock.lq, clean = stock.gt, clean + 1
        stock._dequeue_and_enqueue()
        expected.append((stock.lq.clone(), stock.gt.clone()))
    assert 0 < clean < STEPS
    changes = {"enlarge": True, "no_degradation_prob": 0.3, "gt_usm": "target" if usm else False}
    options = DegradationOptions(**{**values, **changes})
    degradation = RealESRGANDegradation(options, SCALE)
    set_random_seed(2)
    for step, (batch, (lq, gt)) in enumerate(zip(batches, expected, strict=True)):
        out = degradation(**batch)
        assert set(out) == ({"lq", "gt", "gt_usm"} if usm else {"lq", "gt"})
        assert torch.equal(out["lq"], lq) and torch.equal(out["gt"], gt)
        if step == STEPS // 2:  # a resumed training has the same pool
            state, degradation = degradation.training_state(), RealESRGANDegradation(options, SCALE)
            degradation.load_training_state(state)
    if usm:
        assert torch.equal(out["gt_usm"], out["gt"])


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"no_degradation_prob": 0.1}, "no_degradation_prob"),
        ({"orders": 1, "second_order_prob": 0.5}, "second_order_prob"),
        ({"gt_usm": "source"}, "gt_usm"),
    ],
)
def test_wrong_options_are_told(values, changes, key):
    with pytest.raises(ValidationError) as error:
        DegradationOptions(**{**values, **changes})
    assert key in {str(item["loc"][0]) for item in error.value.errors()}
