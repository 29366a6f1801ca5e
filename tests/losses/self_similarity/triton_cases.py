"""Tests of the Triton kernels by Triton's interpreter; test_triton_loss.py runs them in a process of their own.

The interpreter takes about a tenth of a second for a mask pixel, hence the few of them.
"""

import importlib.util
from pathlib import Path

from prismsr.losses.self_similarity import triton_loss
from prismsr.losses.self_similarity.self_similarity_loss import self_similarity_loss

import pytest
import torch
from no_waiting import NoWaiting
from triton.runtime import interpreter

interpreter.interpreter_builder.options = interpreter.InterpreterOptions(sanitize_overflow=False)  # twice as fast
spec = importlib.util.spec_from_file_location("reference", Path(__file__).with_name("self_similarity_reference.py"))
reference = importlib.util.module_from_spec(spec)
spec.loader.exec_module(reference)

SETTINGS = {
    "zero": {"search": 5, "window": 3},
    "image": {"search": 5, "window": 3, "border": "image", "alpha": 0.3},
    "stride": {"search": 9, "window": 3, "stride": 2, "kl_weight": 0.7},
    "coarse_image": {"search": 7, "window": 3, "stride": 2, "border": "image", "h": 0.01, "mask_stride": 2},
    "window_fills_search": {"search": 5, "window": 5, "mask_stride": 3},
    "single_pixels": {"search": 5, "window": 1, "alpha": 0.0},
    "centre_alone": {"search": 1, "window": 1},
}
SMALL = SETTINGS["zero"]


def images(count=2, channels=2, side=10):
    torch.manual_seed(0)
    gt = torch.rand(count, channels, side, side + 1, dtype=torch.float64) * 0.2
    return gt + torch.randn_like(gt) * 0.05, gt


def corner_and_one(sr):
    """A corner of the first image, a pixel in the last; kept by any mask_stride."""
    mask = torch.zeros(len(sr), 1, *sr.shape[2:], dtype=torch.bool)
    mask[0, 0, 9, 9] = mask[-1, 0, 3, 3] = True
    return mask


def value_and_gradient(sr, gt, mask, function=self_similarity_loss, **options):
    sr = sr.clone().requires_grad_()
    value = function(sr, gt, mask, **options)
    value.backward()
    return value.detach(), sr.grad


def relative(result, expected):
    return ((result - expected).abs().max() / expected.abs().max().clamp_min(1e-12)).item()


@pytest.mark.parametrize("options", SETTINGS.values(), ids=SETTINGS)
def test_equals_the_unfolded_reference(options):
    sr, gt = images()
    mask = corner_and_one(sr)
    value, grad = value_and_gradient(sr, gt, mask, **options)
    expected, expected_grad = value_and_gradient(sr, gt, mask, reference.reference_loss, **options)
    assert relative(value, expected) < 1e-12
    assert relative(grad, expected_grad) < 1e-12


def test_release_sizes_in_float32(monkeypatch):
    sr, gt = images(count=1, channels=3, side=18)
    mask = torch.zeros(1, 1, *sr.shape[2:], dtype=torch.bool)
    mask[0, 0, 17, 2] = True
    value, grad = value_and_gradient(sr.float(), gt.float(), mask)
    monkeypatch.setenv(triton_loss.VARIABLE, "sweep")
    expected, expected_grad = value_and_gradient(sr, gt, mask)
    assert value.dtype == grad.dtype == torch.float32
    assert relative(value, expected) < 1e-5
    assert relative(grad, expected_grad) < 1e-5


def test_gradcheck():
    sr, gt = images(count=1, channels=1)
    mask = corner_and_one(sr)
    assert torch.autograd.gradcheck(
        lambda sr: self_similarity_loss(sr, gt, mask, reduction="sum", **SMALL), sr.requires_grad_(), fast_mode=True
    )


def test_launches_and_programs_change_no_bit(monkeypatch):
    sr, gt = (image.float() for image in images(count=1, channels=1))
    mask = corner_and_one(sr)
    mask[0, 0, [1, 2, 4], [1, 2, 1]] = True  # patches that overlap
    value, grad = value_and_gradient(sr, gt, mask, mask_stride=3, **SMALL)
    monkeypatch.setattr(triton_loss, "PATCHES", 2 * 5**2)
    monkeypatch.setattr(triton_loss, "COLUMNS", 8)
    monkeypatch.setattr(triton_loss, "_count_programs", lambda device: 3)
    parted, parted_grad = value_and_gradient(sr, gt, mask, mask_stride=3, **SMALL)
    assert torch.equal(parted, value)
    assert torch.equal(parted_grad, grad)


def test_without_a_mask_pixel_and_without_gradient():
    sr, gt = images()
    value, grad = value_and_gradient(sr, gt, torch.zeros_like(sr[:, :1], dtype=torch.bool), **SMALL)
    assert value == 0
    assert not grad.any()
    mask = corner_and_one(sr)
    with torch.no_grad():
        assert self_similarity_loss(sr, gt, mask, **SMALL) == self_similarity_loss(
            sr.requires_grad_(), gt, mask, **SMALL
        )


def test_autocast_computes_in_float32():
    sr, gt = (image.float() for image in images(count=1, channels=1))
    mask = corner_and_one(sr)
    plain = value_and_gradient(sr, gt, mask, **SMALL)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = value_and_gradient(sr, gt, mask, **SMALL)
    assert torch.equal(plain[0], cast[0])
    assert torch.equal(plain[1], cast[1])


def test_too_large_a_search_is_swept_and_told_once(monkeypatch):
    sr, gt = images()
    mask = corner_and_one(sr)
    monkeypatch.setattr(triton_loss, "WIDEST", 4)
    with pytest.warns(UserWarning, match="search 5 with window 3 is too large"):
        value, _ = value_and_gradient(sr, gt, mask, **SMALL)
    again, _ = value_and_gradient(sr, gt, mask, **SMALL)
    monkeypatch.setenv(triton_loss.VARIABLE, "sweep")
    assert again == value == self_similarity_loss(sr, gt, mask, **SMALL)


def test_channels_last_changes_nothing():
    sr, gt = (image.float() for image in images(count=1, channels=3))
    mask = corner_and_one(sr)
    last = (image.to(memory_format=torch.channels_last) for image in (sr, gt))
    for one, other in zip(
        value_and_gradient(*last, mask, **SMALL), value_and_gradient(sr, gt, mask, **SMALL), strict=True
    ):
        assert torch.equal(one, other)


def test_nothing_waits():
    sr, gt = images(count=1, channels=1)
    with NoWaiting():
        value_and_gradient(sr, gt, corner_and_one(sr), **SMALL)
