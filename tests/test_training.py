"""Real runs of the launchers on the CPU: data made by the tools, every kind of loss term, resume, two processes."""

import os
import re
import subprocess
import sys

from prismsr.utils.options.yaml_loader import read_yaml

import pytest
import torch
import yaml
from option_files import PAIRED_REAL_ESRGAN
from safetensors.torch import load_file


@pytest.fixture
def run(launch_server, training_workplace, tmp_path):
    """Run one of the launchers' scripts from another folder; returns what it wrote."""

    def run(*arguments, script="train.py", file="tiny.yml"):
        words = (str(training_workplace / "basicsr" / script), "-opt", str(training_workplace / file), *arguments)
        code, output = launch_server.start(tmp_path, "script", *words).end()
        assert code == 0, output[-6000:]
        return output

    return run


def test_train_resume_and_test(training_workplace, run):
    log = run()
    assert re.match(r"PRISM-SR \S+ \(.*BasicSR 1\.4\.2 \(.*torch .*CPU", log)
    assert re.search(r"l_g_pix: .* l_g_gan: .* l_g_ssl: .* l_d_real: ", log)
    assert re.search(r"psnr: \d+\.\d+\s+Best: \d+\.\d+ @ 4 iter", log)
    models = training_workplace / "experiments" / "tiny" / "models"
    first = torch.load(models / "net_g_4.pth", weights_only=True)["params_ema"]

    log = run("--auto_resume", "--force_yml", "train:total_iter=6")
    assert "Resuming training from epoch: 0, iter: 4." in log
    assert "iter:       5" in log and "iter:       4," not in log
    last = torch.load(models / "net_g_latest.pth", weights_only=True)["params_ema"]
    assert any(not torch.equal(first[key], last[key]) for key in first)

    settings = ["path:pretrain_network_g=experiments/tiny/models/net_g_latest.pth", "path:param_key_g=params_ema"]
    log = run("--force_yml", *settings, "datasets:train=~", script="test.py")
    assert re.search(r"Validation unseen\s+# psnr: \d+\.\d+", log)
    assert list((training_workplace / "results" / "tiny" / "visualization" / "unseen").glob("*.png"))


def test_two_processes_with_spawned_workers(training_workplace, tmp_path):
    """By the command itself, in new processes, where the other tests fork."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    command += [str(training_workplace / "basicsr" / "train.py"), "--launcher", "pytorch"]
    command += ["-opt", str(training_workplace / "tiny.yml"), "--force_yml", "name=two"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    result = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=240, check=False
    )
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    log = result.stdout + result.stderr
    assert "2 processes" in log
    folder = training_workplace / "experiments" / "two"
    assert (folder / "models" / "net_g_latest.pth").is_file() and (folder / "losses.png").is_file()
    assert log.count("iter:       4,") == 1


def test_safetensors_are_written_and_read(training_workplace, run):
    run("--force_yml", "name=safe", "logger:save_safetensors=true")
    models = training_workplace / "experiments" / "safe" / "models"
    flat = load_file(models / "net_g_4.safetensors")
    average = torch.load(models / "net_g_4.pth", weights_only=True)["params_ema"]
    assert flat.keys() == average.keys() and all(torch.equal(flat[key], average[key]) for key in flat)
    settings = ["name=safe", "path:pretrain_network_g=experiments/safe/models/net_g_4.safetensors", "datasets:train=~"]
    log = run("--force_yml", *settings, script="test.py")
    assert "net_g_4.safetensors, bare state dict" in log
    assert re.search(r"Validation unseen\s+# psnr: \d+\.\d+", log)


def test_real_esrgans_own_file_for_pairs_trains(training_workplace, run):
    """A smaller one on the CPU, and without VGG, whose weights are not at hand."""
    options = read_yaml(PAIRED_REAL_ESRGAN, "paired.yml")[0]
    options["num_gpu"] = 0
    options["datasets"]["train"] |= {
        **{"dataroot_gt": "HR", "dataroot_lq": "LR", "gt_size": 32},
        **{"num_worker_per_gpu": 0, "batch_size_per_gpu": 2},
    }
    options["network_g"] |= {"num_feat": 8, "num_block": 1, "num_grow_ch": 4}
    options["network_d"]["num_feat"] = 4
    options["train"] |= {"total_iter": 2, "perceptual_opt": None}
    options["logger"] |= {"print_freq": 1, "use_tb_logger": False}
    (training_workplace / "paired.yml").write_text(yaml.safe_dump(options))
    log = run(file="paired.yml")
    assert re.search(r"iter:       2,.*l_g_pix: .* l_g_gan: .* l_d_real: ", log)


def test_networks_of_one_channel_train_on_grey_and_are_measured(run):
    one = ("num_in_ch=1", "num_out_ch=1")
    changes = [
        *("name=grey", "network_d:num_in_ch=1", "datasets:train:color=gray", "datasets:val:color=y"),
        *(f"network_g:{change}" for change in one),
        *("val:metrics:natural:type=calculate_nr_iqa", "val:metrics:natural:metric=natural_scene"),
    ]
    log = run("--force_yml", *changes)
    assert re.search(r"l_g_pix: .* l_g_gan: .* l_g_ssl: .* l_d_real: ", log)
    assert re.search(r"psnr: \d+\.\d+\s+Best: .*natural: \d+\.\d+\s+Best: ", log, re.DOTALL)
