"""Real runs of the launchers on the CPU: data made by the tools, every kind of loss term, resume, two processes."""

import os
import re
import subprocess
import sys

import pytest
import torch
import yaml

TRAIN = {
    "name": "tiny",
    "model_type": "PrismSRModel",
    "scale": 4,
    "num_gpu": 0,
    "manual_seed": 0,
    "datasets": {
        "train": {
            "name": "photographs",
            "type": "PairedImageMaskDataset",
            "dataroot_gt": "HR.lmdb",
            "dataroot_lq": "LR.lmdb",
            "gt_size": 32,
            "use_hflip": True,
            "use_rot": True,
            "num_worker_per_gpu": 1,
            "batch_size_per_gpu": 2,
            "dataset_enlarge_ratio": 40,
        },
        "val": {"name": "unseen", "type": "PairedImageMaskDataset", "dataroot_gt": "HR", "dataroot_lq": "LR"},
    },
    "network_g": {"type": "SRVGGNetCompact", "num_feat": 8, "num_conv": 1, "upscale": 4},
    "network_d": {"type": "UNetDiscriminatorSN", "num_in_ch": 3, "num_feat": 4},
    "path": {},
    "train": {
        "ema_decay": 0.9,
        "optim_g": {"type": "Adam", "lr": 1e-3},
        "optim_d": {"type": "Adam", "lr": 1e-3},
        "scheduler": {"type": "MultiStepLR", "milestones": [100]},
        "total_iter": 4,
        "losses": {
            "l_g_pix": {"type": "L1Loss"},
            "l_g_gan": {"type": "AdversarialLoss", "loss_weight": 5e-3},
            "l_g_ssl": {"type": "SelfSimilarityLoss", "loss_weight": 10.0},
        },
    },
    "val": {"val_freq": 100, "save_img": True, "metrics": {"psnr": {"type": "calculate_psnr", "crop_border": 4}}},
    "logger": {"print_freq": 1, "save_checkpoint_freq": 2, "use_tb_logger": False},
}


@pytest.fixture(scope="module")
def workplace(tmp_path_factory, repository, prepare_tool):
    """A repository of its own: our launchers and tools, and data made by the tools from the demo's photographs."""
    root = tmp_path_factory.mktemp("workplace")
    (root / "basicsr").mkdir()
    for script in ("train.py", "test.py"):
        (root / "basicsr" / script).write_text((repository / "basicsr" / script).read_text())

    def prepare(step, source, output, *options):
        inputs = ["-i", str(root / source)] if source else []
        assert prepare_tool.main([step, *inputs, "-o", str(root / output), *options, "--workers", "1"]) == 0

    prepare("photos", None, "photos")
    prepare("subimages", "photos/val/HR", "HR", "--crop", "96", "--step", "400")
    prepare("downsample", "HR", "LR")
    prepare("lmdb", "HR", "HR.lmdb")
    prepare("lmdb", "LR", "LR.lmdb")
    (root / "tiny.yml").write_text(yaml.safe_dump(TRAIN, sort_keys=False))
    return root


def _launch(workplace, cwd, *arguments, script="train.py", processes=1):
    command = [sys.executable]
    if processes > 1:
        command += ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
    command += [str(workplace / "basicsr" / script), "-opt", str(workplace / "tiny.yml"), *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    result = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    return result.stdout + result.stderr


def test_train_resume_and_test(workplace, tmp_path):
    log = _launch(workplace, tmp_path)
    assert re.match(r"PRISM-SR \S+ \(.*BasicSR 1\.4\.2 \(.*torch .*CPU", log)
    assert re.search(r"l_g_pix: .* l_g_gan: .* l_g_ssl: .* l_d_real: ", log)
    assert re.search(r"psnr: \d+\.\d+\s+Best: \d+\.\d+ @ 4 iter", log)
    models = workplace / "experiments" / "tiny" / "models"
    first = torch.load(models / "net_g_4.pth", weights_only=True)["params_ema"]

    log = _launch(workplace, tmp_path, "--auto_resume", "--force_yml", "train:total_iter=6")
    assert "Resuming training from epoch: 0, iter: 4." in log
    assert "iter:       5" in log and "iter:       4," not in log
    last = torch.load(models / "net_g_latest.pth", weights_only=True)["params_ema"]
    assert any(not torch.equal(first[key], last[key]) for key in first)

    settings = ["path:pretrain_network_g=experiments/tiny/models/net_g_latest.pth", "path:param_key_g=params_ema"]
    log = _launch(workplace, tmp_path, "--force_yml", *settings, "datasets:train=~", script="test.py")
    assert re.search(r"Validation unseen\s+# psnr: \d+\.\d+", log)
    assert list((workplace / "results" / "tiny" / "visualization" / "unseen").glob("*.png"))


def test_two_processes_with_spawned_workers(workplace, tmp_path):
    log = _launch(workplace, tmp_path, "--force_yml", "name=two", processes=2)
    assert "2 processes" in log
    assert (workplace / "experiments" / "two" / "models" / "net_g_latest.pth").is_file()
    assert log.count("iter:       4,") == 1
