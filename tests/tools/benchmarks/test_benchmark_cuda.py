"""The benchmark `cuda`, tried on the CPU: rows as they come, and what fails."""

import time
from argparse import Namespace

from prismsr.tools.benchmarks import cuda, cuda_parts, jobs
from prismsr.tools.benchmarks.command import CUDA_PARTS
from prismsr.tools.benchmarks.random_training import load_random
from prismsr.utils.errors import OptionError

import pytest
import torch

CPU = torch.device("cpu")


def test_every_part_has_a_table_and_a_workload():
    assert tuple(cuda.PARTS) == CUDA_PARTS
    assert set(jobs.ROWS) == {f"cuda-{name}" for name in CUDA_PARTS}


@pytest.mark.parametrize("file", [*cuda.FILES["full"], *cuda.SAMPLED["full"]])
def test_option_files_are_read_for_random_weights(file):
    opt, left_out = load_random(file)
    text = str({key: opt[key] for key in ("network_g", "train")})
    assert "pretrained_models" not in text and "stable-diffusion" not in text
    assert opt["train"]["accum_iter"] == 1 and opt["datasets"]["train"]["batch_size_per_gpu"] >= 4
    assert set(left_out) <= {"l_g_iqa", "l_percep", "the choice of a ground truth"}


def test_a_step_has_its_figures_and_what_fails_says_so(monkeypatch):
    def load_smaller(file):
        opt, left_out = load_random(file)
        opt["datasets"]["train"] |= {"gt_size": 32, "batch_size_per_gpu": 1}
        return opt, left_out

    monkeypatch.setattr(cuda_parts, "load_random", load_smaller)
    monkeypatch.setattr(cuda_parts, "RUNS", {"fp32": {"amp": None}, "wrong": {"amp": "fp8"}})
    file = "demo/gan_ssl_x4.yml"
    good, bad = cuda_parts.measure_steps(CPU, file, "tiny")
    assert len(good) == len(cuda.PARTS["step"].columns)
    assert float(good[3]) > 0 and good[5].endswith("%") and good[6] == "-"
    assert bad[:2] == [file, "wrong"] and bad[2].startswith("failed: ")


def test_losses_of_a_device_are_those_of_the_cpu():
    for row in cuda_parts.compare_losses(CPU):
        assert row[1:] == ["0.0e+00", "0.0e+00"], row


def test_the_loss_is_compared_with_the_unfolded_one(monkeypatch):
    monkeypatch.setenv(cuda_parts.VARIABLE, "")
    rows = list(cuda_parts.measure_loss(CPU, size=26, batch=1, repeat=1))
    assert [row[3] for row in rows] == ["sweep", "unfolded"] * 2
    assert all(float(row[7]) < 1e-5 for row in rows)


def test_a_job_that_fails_and_one_without_time_say_so():
    arguments = {"file": "ssl/no_such_file.yml", "device": "cpu", "sizes": "tiny"}
    (row,) = cuda.run_job("sampling", arguments, time.monotonic() + 60)
    assert row[:2] == ["ssl/no_such_file.yml", "64x64"] and row[2].startswith("failed: ")
    (row,) = cuda.run_job("sampling", arguments, time.monotonic() + 0.2)
    assert row[0] == "ssl/no_such_file.yml" and "the time is over" in row[1]
    (row,) = cuda.run_job("sampling", arguments, time.monotonic() - 1)
    assert row == ["ssl/no_such_file.yml", "not run: the time is over (--minutes)"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_a_device_it_says_how_to_try(tmp_path):
    with pytest.raises(OptionError, match="--device cpu --tiny"):
        cuda.run_cuda(Namespace(device=None, out=tmp_path / "tables.md", minutes=1, parts=None, tiny=False))
