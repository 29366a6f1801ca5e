"""Validation with several references of an image."""

from prismsr.models.training.validation import validate

import cv2
import multi_gt_case
import numpy as np
import pytest
import torch
from basicsr.data import build_dataset
from basicsr.metrics import calculate_ssim
from basicsr.models.sr_model import SRModel
from basicsr.utils.registry import METRIC_REGISTRY

NAMES = ["0001-288-0", "ü%20-1-1"]
POSITIVES = {"0001-288-0": ["01", "02"], "ü%20-1-1": ["01", "02", "03", "04"]}
CALLS = []


@METRIC_REGISTRY.register()
def calculate_brightness(img, crop_border=0, **kwargs):
    """Compares with nothing, though it is given img2 as all are."""
    CALLS.append(crop_border)
    return float(img.mean())


def _model(folder, metrics):
    torch.manual_seed(1)
    network = {"type": "SRVGGNetCompact", "num_in_ch": 3, "num_out_ch": 3, "num_feat": 8, "num_conv": 1, "upscale": 2}
    return SRModel(
        {
            **{"name": "case", "is_train": False, "num_gpu": 0, "dist": False, "scale": 2, "manual_seed": 7},
            **{"rank": 0, "world_size": 1, "network_g": network},
            "path": {"visualization": str(folder / "visualization")},
            "val": {"suffix": None, "metrics": metrics},
        }
    )


@pytest.fixture
def dataset(tmp_path):
    """Two groups with two and four positive versions, 40 x 40, and LQ images of half the size."""
    multi_gt_case.write_images(tmp_path / "images", side=40)
    multi_gt_case.write_labels(tmp_path / "labels")
    rng = np.random.default_rng(0)
    (tmp_path / "lq").mkdir()
    for name in set(multi_gt_case.NAMES) - set(NAMES):
        for version in multi_gt_case.VERSIONS:
            (tmp_path / "images" / multi_gt_case.file_name(name, version)).unlink()
    for name in NAMES:
        image = rng.integers(0, 256, (20, 20, 3), dtype=np.uint8)
        cv2.imencode(".png", image)[1].tofile(tmp_path / "lq" / f"{name}.png")
    return build_dataset(
        {
            **{"name": "Test", "type": "MultiGTTestDataset", "phase": "val", "scale": 2},
            "dataroot_gt": str(tmp_path / "images"),
            "dataroot_lq": str(tmp_path / "lq"),
            "dataroot_labels": str(tmp_path / "labels"),
        }
    )


def _read(path):
    return cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)


def _psnr(one, other):
    difference = one[4:-4, 4:-4].astype(np.float64) - other[4:-4, 4:-4].astype(np.float64)
    return 10 * np.log10(255**2 / np.mean(difference**2))


def test_means_over_references_then_over_images(dataset, tmp_path):
    metrics = {
        "psnr": {"type": "calculate_psnr", "crop_border": 4, "test_y_channel": False},
        "ssim": {"type": "calculate_ssim", "crop_border": 4, "test_y_channel": False},
        "brightness": {"type": "calculate_brightness", "crop_border": 3},
    }
    model = _model(tmp_path, metrics)
    CALLS.clear()
    validate(model, torch.utils.data.DataLoader(dataset), "case", None, True)
    assert CALLS == [3, 3]  # once an image, with its own options
    values = {"psnr": [], "ssim": [], "brightness": []}
    for name in NAMES:
        result = _read(tmp_path / "visualization" / "Test" / f"{name}_case.png")
        versions = [_read(tmp_path / "images" / version / f"{name}_{version}.png") for version in POSITIVES[name]]
        values["psnr"].append(np.mean([_psnr(result, version) for version in versions]))
        values["ssim"].append(np.mean([calculate_ssim(result, version, crop_border=4) for version in versions]))
        values["brightness"].append(result.mean())
    expected = {name: pytest.approx(np.mean(figures), rel=1e-12) for name, figures in values.items()}
    assert model.metric_results == expected
    # neither the mean over all references at once nor the original alone gives the same
    original = [_read(tmp_path / "images" / "original" / f"{name}.png") for name in NAMES]
    results = [_read(tmp_path / "visualization" / "Test" / f"{name}_case.png") for name in NAMES]
    alone = np.mean([_psnr(*pair) for pair in zip(results, original, strict=True)])
    assert abs(model.metric_results["psnr"] - alone) > 1e-3
