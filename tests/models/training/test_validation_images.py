"""What headers tell before the first iteration: sizes that do not fit, and images too small for a metric."""

from types import SimpleNamespace

from prismsr.data.paired_image_mask_dataset import PairedImageMaskDataset
from prismsr.models.training.validation_images import check_validation_images
from prismsr.utils.errors import OptionError

import cv2
import numpy as np
import pytest
from basicsr.metrics import calculate_niqe


def _dataset(root, *sizes):
    """Pairs of these (LQ, GT) sizes, each (height, width)."""
    for index, pair in enumerate(sizes):
        for name, size in zip(("lq", "gt"), pair, strict=True):
            (root / name).mkdir(exist_ok=True)
            cv2.imwrite(str(root / name / f"{index}.png"), np.zeros((*size, 3), np.uint8))
    opt = {"name": "unseen", "phase": "val", "scale": 4, "dataroot_lq": str(root / "lq")}
    return PairedImageMaskDataset(opt | {"dataroot_gt": str(root / "gt")})


def test_images_too_small_for_a_metric_are_noted(tmp_path):
    dataset = _dataset(tmp_path, ((32, 40), (128, 160)), ((48, 48), (194, 192)), ((16, 16), (64, 64)))
    metrics = {
        "niqe": {"type": "calculate_niqe", "crop_border": 0},
        "scene": {"type": "calculate_nr_iqa", "metric": "natural_scene"},
        "psnr": {"type": "calculate_psnr", "crop_border": 4},
    }
    notes = check_validation_images([dataset], 4, metrics)
    assert len(notes) == 2
    assert notes[0].startswith("val.metrics.niqe: unseen") and "0.png" in notes[0] and "1 more" in notes[0]
    assert "96 x 192" in notes[0] and "160 x 128" in notes[0]
    assert notes[1].startswith("val.metrics.scene: unseen") and "2.png" in notes[1] and "64 x 64" in notes[1]
    metrics["niqe"]["crop_border"] = 1
    assert "2 more" in check_validation_images([dataset], 4, metrics)[0]


def test_ground_truth_that_is_too_small_is_refused(tmp_path):
    dataset = _dataset(tmp_path, ((8, 8), (32, 35)), ((8, 8), (32, 31)))
    with pytest.raises(OptionError, match=r"1\.png.*31x32"):
        check_validation_images([dataset], 4, {})


def test_sets_of_other_classes_are_passed_over():
    assert check_validation_images([SimpleNamespace(opt={"name": "other"})], 4, {}) == []


def test_least_size_of_niqe_is_right():
    image = np.random.default_rng(0).integers(0, 255, (96, 192, 3), dtype=np.uint8)
    assert np.isfinite(calculate_niqe(image, 0))
    with pytest.raises(np.linalg.LinAlgError):
        calculate_niqe(image[:, :191], 0)
