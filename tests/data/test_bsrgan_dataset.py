"""LQ/GT pairs that are degraded in the loading processes: exact from (seed, epoch, index)."""

from prismsr.data.degradation.bsrgan import degrade_bsrgan
from prismsr.data.degradation.bsrgan_options import BSRGANMaskOptions, BSRGANRanges
from prismsr.data.images.source import ImageSourceError
from prismsr.data.loading.sampler import SampleIndex
from prismsr.utils.errors import DataError
from prismsr.utils.options.validation import validate_section

import cv2
import numpy as np
import pytest
import torch
from basicsr.data import build_dataset
from torch.utils.data import DataLoader


@pytest.fixture
def roots(tmp_path, photograph):
    """Two photographs and masks of where green is above 127."""
    for name in ("gt", "mask"):
        (tmp_path / name).mkdir()
    for number, image in enumerate([photograph, photograph[:250, :200]]):
        cv2.imwrite(str(tmp_path / "gt" / f"{number}.png"), image)
        mask = np.where(image[..., 1] > 127, 255, 0).astype(np.uint8)
        cv2.imwrite(str(tmp_path / "mask" / f"{number}.png"), mask)
    return tmp_path


def _build(roots, **changes):
    section = {
        **{"name": "test", "type": "BSRGANMaskDataset", "dataroot_gt": str(roots / "gt"), "gt_size": 64},
        **{"dataroot_gt_mask": str(roots / "mask"), "use_hflip": True, "use_rot": True},
        **{"batch_size_per_gpu": 1, "num_worker_per_gpu": 0, **changes},
    }
    assert not validate_section(BSRGANMaskOptions, section, "datasets.train", is_train=True)
    return build_dataset({**section, "phase": "train", "scale": 4, "manual_seed": 3})


def _indices(number):
    return [SampleIndex(draw % 2, epoch=1, draw=draw) for draw in range(number)]


def _assert_same(one, other):
    assert one.keys() == other.keys()
    for key in one:
        assert torch.equal(one[key], other[key]) if torch.is_tensor(one[key]) else one[key] == other[key], key


def test_items_depend_on_seed_epoch_and_draw_alone(roots):
    dataset, other = _build(roots), _build(roots)
    torch.manual_seed(5)
    with_workers = list(DataLoader(other, batch_size=None, sampler=_indices(6), num_workers=2))
    for index, item in zip(_indices(6), with_workers, strict=True):
        _assert_same(dataset[index], item)
        assert item["lq"].shape == (3, 16, 16) and item["gt"].shape == (3, 64, 64)
    first = dataset[SampleIndex(0, epoch=1, draw=0)]
    for changed in (SampleIndex(0, epoch=2, draw=0), SampleIndex(0, epoch=1, draw=2)):
        assert not torch.equal(dataset[changed]["lq"], first["lq"])


def test_lq_is_the_degraded_gt(roots):
    """Without a random step but the JPEG's quality, LQ is near GT reduced; with the original's ranges it is not."""
    fixed = {"half_first_prob": 0.0, "iso_sigma": [0.01, 0.0], "aniso_prob": 0.0, "jpeg_range": [100, 100]}
    clean = _build(roots, **fixed, resize_prob=1.0, resize_factor=[1.0, 1.0], noise_levels=[1, 1])
    rough = _build(roots)
    errors = {"clean": [], "rough": []}
    for index in _indices(8):
        for name, dataset in (("clean", clean), ("rough", rough)):
            item = dataset[index]
            reduced = torch.nn.functional.interpolate(item["gt"][None], scale_factor=0.25, mode="area")[0]
            errors[name].append((item["lq"] - reduced).abs().mean().item())
    assert max(errors["clean"]) < 0.08 and np.mean(errors["rough"]) > 1.5 * np.mean(errors["clean"])


def test_ranges_reach_the_degradation(roots, monkeypatch):
    seen = []
    monkeypatch.setattr(
        "prismsr.data.bsrgan_dataset.degrade_bsrgan",
        lambda image, scale, rng, ranges: seen.append((scale, ranges)) or degrade_bsrgan(image, scale, rng, ranges),
    )
    _build(roots, jpeg_range=[50, 60])[SampleIndex(0, epoch=0, draw=0)]
    assert seen == [(4, BSRGANRanges(jpeg_range=[50, 60]))]


def test_mask_is_flipped_with_its_image(roots):
    dataset = _build(roots)
    for index in _indices(16):
        item = dataset[index]
        assert torch.equal(item["gt_mask"], (item["gt"][1:2] * 255 > 127.5).float())


def test_other_masks_are_refused(roots):
    cv2.imwrite(str(roots / "mask" / "0.png"), np.zeros((9, 9), np.uint8))
    with pytest.raises(DataError, match=r"0\.png"):
        _build(roots)[SampleIndex(0, epoch=0, draw=0)]
    (roots / "mask" / "0.png").unlink()
    with pytest.raises(ImageSourceError, match="mask"):
        _build(roots)
