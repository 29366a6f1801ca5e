"""Fixtures for the option files: a small experiment on two images that passes the check."""

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml


@pytest.fixture
def workplace(tmp_path: Path) -> Path:
    """A folder with data/gt (32x32) and data/lq (8x8), two images each, and nothing else."""
    rng = np.random.default_rng(0)
    for name in ("0.png", "1.png"):
        gt = cv2.GaussianBlur(rng.integers(0, 255, (32, 32, 3), dtype=np.uint8), (0, 0), 2)
        for folder, image in (("gt", gt), ("lq", cv2.resize(gt, (8, 8), interpolation=cv2.INTER_AREA))):
            (tmp_path / "data" / folder).mkdir(parents=True, exist_ok=True)
            assert cv2.imwrite(str(tmp_path / "data" / folder / name), image)
    return tmp_path


@pytest.fixture
def experiment() -> dict[str, Any]:
    """Options of a training that takes two iterations, with paths relative to `workplace`."""
    images = {"type": "PairedImageMaskDataset", "dataroot_gt": "data/gt", "dataroot_lq": "data/lq"}
    return {
        "name": "small",
        "model_type": "PrismSRModel",
        "scale": 4,
        "num_gpu": 0,
        "manual_seed": 3,
        "datasets": {
            "train": {
                "name": "pairs",
                **images,
                "gt_size": 16,
                "use_hflip": True,
                "use_rot": True,
                "batch_size_per_gpu": 2,
                "num_worker_per_gpu": 0,
            },
            "val": {"name": "pairs", **images},
        },
        "network_g": {"type": "SRVGGNetCompact", "num_feat": 4, "num_conv": 1, "upscale": 4},
        "path": {"resume_state": None},
        "train": {
            "total_iter": 2,
            "optim_g": {"type": "AdamW", "lr": 0.001},
            "scheduler": {"type": "MultiStepLR", "milestones": [1]},
            "losses": {"l_pix": {"type": "L1Loss", "loss_weight": 1.0}},
        },
        "val": {
            "val_freq": 2,
            "save_img": False,
            "metrics": {"psnr": {"type": "calculate_psnr", "crop_border": 4}},
        },
        "logger": {"print_freq": 1, "save_checkpoint_freq": 2, "use_tb_logger": False},
    }


@pytest.fixture
def write(workplace: Path) -> Callable[..., Path]:
    """Write options as a YAML file into `workplace` and return its path."""

    def write(options: dict[str, Any], name: str = "small.yml") -> Path:
        path = workplace / name
        path.write_text(yaml.safe_dump(options, sort_keys=False), encoding="utf8")
        return path

    return write


def change(options: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """A copy with one key changed; the Ellipsis removes it."""
    options = deepcopy(options)
    *keys, last = path.split(".")
    section = options
    for key in keys:
        section = section[key]
    section[last] = value
    if value is ...:
        del section[last]
    return options
