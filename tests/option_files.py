"""Fixtures for the option files: a small experiment on two images that passes the check."""

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

from prismsr.utils.options.check import check_options
from prismsr.utils.options.problems import errors_among

import cv2
import numpy as np
import pytest
import yaml

# Every key of Real-ESRGAN's finetune_realesrgan_x4plus_pairdata.yml, as its users have it.
PAIRED_REAL_ESRGAN = """
name: finetune_pairdata
model_type: RealESRGANModel
scale: 4
num_gpu: auto
manual_seed: 0
l1_gt_usm: true
percep_gt_usm: true
gan_gt_usm: false
high_order_degradation: false
datasets:
  train:
    name: pairs
    type: RealESRGANPairedDataset
    dataroot_gt: data/gt
    dataroot_lq: data/lq
    meta_info: ~
    io_backend: {type: disk}
    gt_size: 256
    use_hflip: true
    use_rot: false
    use_shuffle: true
    num_worker_per_gpu: 5
    batch_size_per_gpu: 12
    dataset_enlarge_ratio: 1
    prefetch_mode: ~
network_g: {type: RRDBNet, num_in_ch: 3, num_out_ch: 3, num_feat: 64, num_block: 23, num_grow_ch: 32}
network_d: {type: UNetDiscriminatorSN, num_in_ch: 3, num_feat: 64, skip_connection: true}
path:
  pretrain_network_g: ~
  param_key_g: params_ema
  strict_load_g: true
  pretrain_network_d: ~
  param_key_d: params
  strict_load_d: true
  resume_state: ~
train:
  ema_decay: 0.999
  optim_g: {type: Adam, lr: !!float 1e-4, weight_decay: 0, betas: [0.9, 0.99]}
  optim_d: {type: Adam, lr: !!float 1e-4, weight_decay: 0, betas: [0.9, 0.99]}
  scheduler: {type: MultiStepLR, milestones: [400000], gamma: 0.5}
  total_iter: 400000
  warmup_iter: -1
  pixel_opt: {type: L1Loss, loss_weight: 1.0, reduction: mean}
  perceptual_opt:
    type: PerceptualLoss
    layer_weights: {'conv1_2': 0.1, 'conv2_2': 0.1, 'conv3_4': 1, 'conv4_4': 1, 'conv5_4': 1}
    vgg_type: vgg19
    use_input_norm: true
    perceptual_weight: !!float 1.0
    style_weight: 0
    range_norm: false
    criterion: l1
  gan_opt: {type: GANLoss, gan_type: vanilla, real_label_val: 1.0, fake_label_val: 0.0, loss_weight: !!float 1e-1}
  net_d_iters: 1
  net_d_init_iters: 0
logger:
  print_freq: 100
  save_checkpoint_freq: !!float 5e3
  use_tb_logger: true
  wandb: {project: ~, resume_id: ~}
dist_params: {backend: nccl, port: 29500}
"""


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


def find_errors(opt: dict[str, Any], is_train: bool = True) -> dict[str, str]:
    """Return the errors of merged options, files that are not here left aside: message by key path."""
    problems = check_options(opt, "x.yml", missing_paths="note", is_train=is_train)
    return {problem.key: problem.message for problem in errors_among(problems)}
