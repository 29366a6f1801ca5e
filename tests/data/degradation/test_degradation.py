import copy
import io
import random

from prismsr.data.degradation.kernels import (
    KernelSettings,
    global_generators_from,
    random_blur_kernel,
    random_sinc_kernel,
)
from prismsr.data.degradation.options import DegradationOptions
from prismsr.data.degradation.pool import TrainingPool
from prismsr.data.degradation.real_esrgan import RealESRGANDegradation, build_degradation
from prismsr.data.real_esrgan_dataset import RealESRGANMaskDataset
from prismsr.utils.errors import UserError

import numpy as np
import pytest
import torch
from basicsr.models.realesrgan_model import RealESRGANModel
from basicsr.utils import DiffJPEG, USMSharp, set_random_seed
from basicsr.utils.img_process_util import filter2D
from basicsr.utils.registry import DATASET_REGISTRY
from pydantic import ValidationError
from torch import nn
from torch.nn import functional as F

SCALE, GT_SIZE, SIDE, BATCH, QUEUE = 4, 32, 96, 2, 6
FIRST = {
    "resize_prob": [0.2, 0.7, 0.1],
    "resize_range": [0.3, 1.5],
    "gaussian_noise_prob": 0.5,
    "noise_range": [1, 30],
    "poisson_scale_range": [0.05, 3],
    "gray_noise_prob": 0.4,
    "jpeg_range": [30, 95],
}
SECOND = {
    "second_blur_prob": 0.8,
    "resize_prob2": [0.3, 0.4, 0.3],
    "resize_range2": [0.3, 1.2],
    "gaussian_noise_prob2": 0.5,
    "noise_range2": [1, 25],
    "poisson_scale_range2": [0.05, 2.5],
    "gray_noise_prob2": 0.4,
    "jpeg_range2": [30, 95],
}
COMMON = {"gt_size": GT_SIZE, "queue_size": QUEUE}
KINDS = ["iso", "aniso", "generalized_iso", "plateau_aniso"]
KERNELS = KernelSettings(21, [7, 21], KINDS, [0.4, 0.2, 0.2, 0.2], [0.2, 3], [0.5, 4], [1, 2], 0.2)


@pytest.fixture
def batches(photograph_tensor):
    """Ten batches of two parts of the photograph, with a mask of each and kernels."""
    result = []
    for step in range(10):
        corners = [(20 * step, 10), (10 * step, 300)]
        gt = torch.cat([photograph_tensor[:, :, y : y + SIDE, x : x + SIDE] for y, x in corners]).contiguous()
        with global_generators_from(np.random.default_rng(step)):
            kernels = {
                "kernel1": torch.stack([random_blur_kernel(KERNELS) for _ in range(BATCH)]),
                "kernel2": torch.stack([random_blur_kernel(KERNELS) for _ in range(BATCH)]),
                "sinc_kernel": torch.stack([random_sinc_kernel(KERNELS, 0.8) for _ in range(BATCH)]),
            }
        result.append({"gt": gt, **kernels})
    return result


def _degradation(**changes):
    return build_degradation({"scale": SCALE, "degradation": {**COMMON, **FIRST, **SECOND, **changes}})


def _equal(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


class _ContiguousJPEG(DiffJPEG):
    """Without it BasicSR's feed_data stops on the CPU: its filter2D takes no channels-last images."""

    def forward(self, x, quality):
        return super().forward(x, quality).contiguous()


def _stock_model(sharpen):
    """BasicSR's model as far as its feed_data needs it, on the CPU."""
    model = RealESRGANModel.__new__(RealESRGANModel)
    model.opt = {**FIRST, **SECOND, "gt_size": GT_SIZE, "scale": SCALE}
    model.is_train, model.device, model.queue_size = True, torch.device("cpu"), QUEUE
    model.jpeger, model.usm_sharpener = _ContiguousJPEG(differentiable=False), sharpen
    return model


@pytest.mark.parametrize("gt_usm", [True, False])
def test_same_batches_as_basicsr(batches, monkeypatch, gt_usm):
    """Bit for bit, through filling the pool, and shuffling it again and again."""
    monkeypatch.setattr(torch.Tensor, "cuda", lambda tensor: tensor)
    stock = _stock_model(USMSharp() if gt_usm else nn.Identity())
    set_random_seed(0)
    expected = []
    for batch in batches:
        stock.feed_data(batch)
        names = ("lq", "gt", "gt_usm") if gt_usm else ("lq", "gt")
        expected.append({name: getattr(stock, name).clone() for name in names})
    degradation = _degradation(gt_usm=gt_usm)
    set_random_seed(0)
    for batch, theirs in zip(batches, expected, strict=True):
        assert _equal(degradation(**batch), theirs)
    assert expected[-1]["lq"].shape == (BATCH, 3, GT_SIZE // SCALE, GT_SIZE // SCALE)


def test_a_batch_of_the_loader_and_one_of_the_validation(batches):
    degradation = _degradation()
    set_random_seed(0)
    out = degradation.batch({**batches[0], "gt_path": ["a", "b"]})
    set_random_seed(0)
    assert out.pop("gt_path") == ["a", "b"]
    assert _equal(out, _degradation()(**batches[0]))
    pairs = {"lq": torch.zeros(1, 3, 8, 8), "gt": torch.zeros(1, 3, 32, 32), "lq_path": ["a"]}
    assert degradation.batch(pairs) == pairs


def test_the_step_leaves_the_batch_as_it_was(batches):
    before = copy.deepcopy(batches[0])
    degradation = _degradation()
    for _ in range(5):
        degradation(**batches[0])
    assert _equal(batches[0], before)


def test_lq_shows_the_same_place_as_gt_and_mask(photograph_tensor):
    """With settings that change next to nothing LQ is GT made small; the mask follows GT through crop and pool."""
    mild = {
        "resize_prob": [0, 0, 1],
        "gaussian_noise_prob": 1,
        "noise_range": [0, 0],
        "jpeg_range": [99, 100],
        "second_blur_prob": 0,
        "resize_prob2": [0, 0, 1],
        "gaussian_noise_prob2": 1,
        "noise_range2": [0, 0],
        "jpeg_range2": [99, 100],
    }
    degradation = _degradation(**mild)
    pulse = random_sinc_kernel(KERNELS, 0).expand(BATCH, -1, -1)
    set_random_seed(1)
    for step in range(8):
        gt = torch.cat([photograph_tensor[:, :, y : y + SIDE, 8 * step :][..., :SIDE] for y in (0, 150)])
        out = degradation(gt, pulse, pulse, pulse, gt_mask=(gt[:, :1] > 0.5).float())
        small = F.interpolate(out["gt"], scale_factor=1 / SCALE, mode="area")
        assert (small - out["lq"]).abs().mean() < 0.03
        assert torch.equal(out["gt_mask"], (out["gt"][:, :1] > 0.5).float())


def test_what_a_dataset_declares_goes_along_with_its_samples(batches, monkeypatch):
    """Images of any kind at the same place, anything else as it is, and what is not declared not at all."""

    class Dataset(RealESRGANMaskDataset):
        GIVES = (*RealESRGANMaskDataset.GIVES, "depth", "labels", "views", "kind")

    monkeypatch.setitem(DATASET_REGISTRY._obj_map, "Dataset", Dataset)
    section = {**COMMON, **FIRST, **SECOND}
    datasets = {"train": {"type": "Dataset"}}
    degradation = build_degradation({"scale": SCALE, "degradation": section, "datasets": datasets})
    for number, batch in enumerate(batches):
        gt = batch["gt"]
        given = {
            "depth": gt[:, 1:2] / 2,
            "labels": (gt[:, 0] * 255).to(torch.uint8),
            "views": torch.stack([gt, 1 - gt], 1),
            "kind": torch.tensor([[2 * number, 0], [2 * number + 1, 0]]),
        }
        names = [f"{2 * number}", f"{2 * number + 1}"]
        out = degradation.batch({**batch, **given, "gt_path": names, "secret": gt})
        cut = out["gt"]
        assert set(out) == {"lq", "gt", "gt_path", *given}
        assert torch.equal(out["depth"], cut[:, 1:2] / 2)
        assert torch.equal(out["labels"], (cut[:, 0] * 255).to(torch.uint8))
        assert torch.equal(out["views"], torch.stack([cut, 1 - cut], 1))
        assert [str(kind) for kind in out["kind"][:, 0].tolist()] == out["gt_path"]
        state = degradation.training_state()
        degradation.load_training_state(state)  # as after each checkpoint
    with pytest.raises(UserError, match=r"depth.*48x48"):
        degradation.batch({**batches[0], **given, "depth": batches[0]["gt"][..., ::2, ::2]})


def test_one_order(batches):
    """HGGT's one-stage degradation, step by step, from the same draws."""
    first = {**FIRST, "resize_prob": [0, 1, 0], "gaussian_noise_prob": 1, "noise_range": [0, 0], "gray_noise_prob": 0}
    options = DegradationOptions(**{**COMMON, **first, "gt_size": SIDE, "orders": 1})
    gt, kernel = batches[0]["gt"], batches[0]["kernel1"]
    set_random_seed(3)
    out = RealESRGANDegradation(options, SCALE)(gt, kernel)
    set_random_seed(3)
    random.choices([0, 1, 2], [0, 1, 0])
    factor = np.random.uniform(0.3, 1)
    mode = random.choice(["area", "bilinear", "bicubic"])
    image = F.interpolate(filter2D(gt, kernel), scale_factor=factor, mode=mode)
    np.random.uniform()
    torch.rand(BATCH), torch.rand(BATCH), torch.randn(image.shape)  # noise of sigma 0, and whether it is grey
    quality = torch.zeros(BATCH).uniform_(30, 95)
    image = DiffJPEG(differentiable=False)(image.clamp(0, 1), quality=quality).detach()
    image = F.interpolate(image, size=SIDE // SCALE, mode=mode)
    assert torch.equal(out["lq"], (image * 255).round().clamp(0, 255) / 255)
    assert torch.equal(out["gt"], gt)


@pytest.mark.parametrize("steps", [2, 5])
def test_resumes_exactly(batches, steps):
    """Half-filled and shuffled pools alike, through a file read with weights_only."""
    degradation = _degradation()
    masks = [(batch["gt"][:, :1] > 0.5).float() for batch in batches]
    set_random_seed(5)
    for batch, mask in zip(batches[:steps], masks, strict=False):
        degradation(**batch, gt_mask=mask)
    file = io.BytesIO()
    torch.save(degradation.training_state(), file)
    generators = random.getstate(), np.random.get_state(), torch.get_rng_state()
    expected = [degradation(**batches[n], gt_mask=masks[n]) for n in range(steps, 10)]

    resumed = _degradation()
    file.seek(0)
    resumed.load_training_state(torch.load(file, weights_only=True))
    random.setstate(generators[0])
    np.random.set_state(generators[1])
    torch.set_rng_state(generators[2])
    for n, theirs in zip(range(steps, 10), expected, strict=True):
        assert _equal(resumed(**batches[n], gt_mask=masks[n]), theirs)


def test_state_is_small_and_exact():
    pool = TrainingPool(4)
    bytes_, floats = torch.arange(6).reshape(2, 3) / 255, torch.rand(2, 3)
    pool.exchange({"gt": bytes_, "other": floats})
    state = pool.state()
    assert (state["samples"]["gt"].dtype, state["samples"]["other"].dtype) == (torch.uint8, torch.float32)
    assert len(state["samples"]["gt"]) == 2
    resumed = TrainingPool(4)
    resumed.load_state(state)
    assert torch.equal(resumed.state()["samples"]["other"], floats)
    resumed.exchange({"gt": bytes_ + 6 / 255, "other": floats})
    taken = [resumed.exchange({"gt": bytes_, "other": floats})[0]["gt"] for _ in range(20)]
    assert {round(float(value) * 255) for value in torch.cat(taken).flatten()} == set(range(12))


def test_batch_size_that_does_not_fit_is_told():
    pool = TrainingPool(6)
    with pytest.raises(UserError, match=r"queue_size.*batch_size_per_gpu"):
        pool.exchange({"lq": torch.zeros(4, 3)})
    pool.exchange({"lq": torch.zeros(2, 3)})
    with pytest.raises(UserError, match="pool"):
        pool.exchange({"lq": torch.zeros(3, 3)})


def test_other_shapes_or_names_are_told():
    pool = TrainingPool(4)
    pool.exchange({"lq": torch.zeros(2, 3)})
    with pytest.raises(UserError, match=r"\(3,\).*\(5,\)"):
        pool.exchange({"lq": torch.zeros(2, 5)})
    with pytest.raises(UserError, match="gt_mask"):
        pool.exchange({"lq": torch.zeros(2, 3), "gt_mask": torch.zeros(2, 1)})


def test_state_of_another_pool_is_told():
    with pytest.raises(UserError, match=r"degradation\.queue_size"):
        TrainingPool(6).load_state(TrainingPool(4).state())


def test_images_and_kernels_that_do_not_fit_are_told(batches):
    with pytest.raises(UserError, match=r"96x96.*degradation\.gt_size"):
        _degradation(gt_size=128)(**batches[0])
    with pytest.raises(UserError, match=r"96x94.*scale"):
        _degradation()(**{**batches[0], "gt": batches[0]["gt"][:, :, :94]})
    with pytest.raises(UserError, match="kernel_list2"):
        _degradation()(batches[0]["gt"], batches[0]["kernel1"])


@pytest.mark.parametrize(
    ("changes", "key", "message"),
    [
        ({"jpeg_range2": None}, "jpeg_range2", "is required with orders: 2"),
        ({"orders": 1}, "noise_range2", "is not read with orders: 1"),
        ({"resize_range": [1.2, 1.5]}, "resize_range", "and 1 inside"),
        ({"noise_range": [30, 1]}, "noise_range", r"must be \[lowest, highest\]"),
        ({"resize_prob": [0, 0, 0]}, "resize_prob", "not all 0"),
        ({"orders": 3}, "orders", "1 or 2"),
        ({"gt_size": 0}, "gt_size", "greater than 0"),
    ],
)
def test_wrong_options_are_told(changes, key, message):
    with pytest.raises(ValidationError, match=message) as error:
        _degradation(**changes)
    assert key in {str(item["loc"][0]) for item in error.value.errors()}


def test_no_section_no_degradation():
    assert build_degradation({"scale": SCALE, "degradation": None}) is None


def test_names_stay_with_their_samples_also_across_a_resume():
    pool = TrainingPool(6)
    mixed = set()
    for step in range(12):
        numbers = [2 * step, 2 * step + 1]
        batch, names = pool.exchange(
            {"gt": torch.tensor(numbers).float()[:, None]}, [str(number) for number in numbers]
        )
        assert [str(int(value)) for value in batch["gt"][:, 0]] == names
        mixed.update(names)
        if step in (1, 7):
            state, pool = pool.state(), TrainingPool(6)
            pool.load_state(state)
    assert len(mixed) > 10
