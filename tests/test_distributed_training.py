"""Trainings of two processes: equal to one, cut and resumed, and ended together when one of them fails."""

import os
import shutil
import signal
import socket
import time
from copy import deepcopy
from pathlib import Path

import pytest
import torch
import yaml
from trainings import TRAIN, becomes, checkpoint, differences, train_double

TOTAL = 30
SPAWNED = "datasets:train:num_worker_per_gpu=1"
"""A loading process for each of the two; the other runs load by themselves, since a spawned process takes seconds."""


@pytest.fixture(scope="module")
def files(training_workplace):
    """Option files: `two` for two processes with batch 2 each; for float64 `one_double` (batch 4) and `two_double`."""
    made = {}
    for name, batch, total in (("one_double", 4, 10), ("two_double", 2, 10), ("two", 2, TOTAL)):
        options = deepcopy(TRAIN)
        options["name"] = name
        options["datasets"]["train"] |= {
            "batch_size_per_gpu": batch,
            "dataset_enlarge_ratio": 1,
            "num_worker_per_gpu": 0,
        }
        options["train"] |= {"total_iter": total, "scheduler": {"type": "MultiStepLR", "milestones": [10]}}
        del options["train"]["losses"]["l_g_ssl"]  # a mean over the edge pixels of a process's own batch
        options["val"] |= {"val_freq": 20, "save_img": False}
        options["logger"] |= {"save_checkpoint_freq": 10}
        path = training_workplace / f"{name}.yml"
        path.write_text(yaml.safe_dump(options))
        made[name] = str(path)
    return made


def _last_rank(process):
    return int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()[-1])


def _living(rank):
    """Processes of a rank's group, itself among them."""
    stats = [path.read_text().rpartition(")")[2].split() for path in Path("/proc").glob("[0-9]*/stat")]
    return [stat for stat in stats if int(stat[2]) == rank and stat[0] not in "ZX"]


@pytest.fixture(scope="module")
def two(launch_server, training_workplace, files):
    code, output = launch_server.torchrun(training_workplace, "-opt", files["two"]).end()
    assert code == 0, output
    assert "2 processes" in output
    return checkpoint(training_workplace / "experiments" / "two")


def _require_close(one, two, networks):
    """Require that two trainings in float64 differ by rounding alone.

    A gradient is here a sum of at most 1e4 terms, whose magnitudes add up to less than 1e-2. Rounding changes it
    by less than 1e4 * 2^-53 * 1e-2 = 1e-14. Adam's step lr * m / (sqrt(v) + eps) makes at most lr / eps = 1e5 times
    that of it, so that 10 steps end within 1e-8. A fault changes a step by parts of lr = 1e-3.
    """
    for mine, theirs in zip(_figures(one["losses.csv"]), _figures(two["losses.csv"]), strict=True):
        assert mine == pytest.approx(theirs, rel=1e-6, abs=1e-8)
    for name in networks:
        torch.testing.assert_close(two[f"models/{name}.pth"], one[f"models/{name}.pth"], rtol=0, atol=1e-8, msg=name)


def _figures(text):
    return [[float(cell) for cell in line.replace("unseen,psnr,", "").split(",")] for line in text.split()[1:]]


def test_two_processes_train_and_validate_as_one(launch_server, training_workplace, files):
    one, two = (
        train_double(launch_server, training_workplace, files[f"{name}_double"], n)
        for n, name in ((1, "one"), (2, "two"))
    )
    _require_close(one, two, ("net_g_10", "net_d_10"))
    # figures of 8-bit images: rounding moves a value across a half hardly ever, and then by 1e-7 of the PSNR
    assert _figures(one["metrics.csv"]) == [pytest.approx(row, rel=1e-6) for row in _figures(two["metrics.csv"])]


def test_two_machines_meet_by_torchruns_rendezvous(launch_server, training_workplace, files, two):
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        endpoint = f"localhost:{probe.getsockname()[1]}"
    options = ("--nnodes=2", "--nproc_per_node=1", "--rdzv_backend=c10d", f"--rdzv_endpoint={endpoint}")
    arguments = ("-opt", files["two"], "--force_yml", "name=machines")
    nodes = [launch_server.torchrun(training_workplace, *arguments, options=options) for _ in range(2)]
    for code, output in [node.end() for node in nodes]:
        assert code == 0, output
    assert differences(two, checkpoint(training_workplace / "experiments" / "machines")) == []


def test_sigterm_to_torchrun_saves_and_resuming_is_exact(launch_server, training_workplace, files, two):
    arguments = ("-opt", files["two"], "--auto_resume", "--force_yml", "name=term")
    process = launch_server.torchrun(training_workplace, *arguments, SPAWNED)
    process.wait_for("iter:       3,")
    process.send(signal.SIGTERM)
    code, output = process.end()
    assert code != 0
    assert "SIGTERM: ending after this step" in output and "is saved; go on with --auto_resume" in output
    folder = training_workplace / "experiments" / "term"
    saved = [int(path.stem) for path in (folder / "training_states").glob("*.state")]
    assert len(saved) == 1 and 3 <= saved[0] < TOTAL
    code, output = launch_server.torchrun(training_workplace, *arguments).end()
    assert code == 0, output
    extra = {f"models/net_{net}_{saved[0]}.pth" for net in "gd"}
    extra |= {f"training_states/{saved[0]}.{end}" for end in ("state", "rank1")}
    cut = {name: content for name, content in checkpoint(folder).items() if name not in extra}
    assert differences(two, cut) == []


def test_unreadable_sample_of_one_process_ends_the_job(launch_server, training_workplace, files):
    shutil.copytree(training_workplace / "HR", training_workplace / "HR_bad")
    bad = sorted((training_workplace / "HR_bad").iterdir())[5]
    bad.write_bytes(bad.read_bytes()[:200])
    data = ("datasets:train:dataroot_gt=HR_bad", "datasets:train:dataroot_lq=LR", "name=bad", SPAWNED)
    process = launch_server.torchrun(training_workplace, "-opt", files["two"], "--force_yml", *data)
    process.wait_for("2 processes")
    start = time.monotonic()
    code, output = process.end()
    assert code != 0
    assert time.monotonic() - start < 60
    assert bad.name in output
    assert "End of training" not in output


def test_killed_process_ends_the_job_within_a_minute_and_resuming_is_exact(
    launch_server, training_workplace, files, two
):
    arguments = ("-opt", files["two"], "--auto_resume", "--force_yml", "name=killed")
    process = launch_server.torchrun(training_workplace, *arguments, SPAWNED)
    process.wait_for("iter:       3,")
    rank = _last_rank(process)
    start = time.monotonic()
    os.kill(rank, signal.SIGKILL)
    code, output = process.end()
    assert becomes(lambda: not _living(rank), 60)  # its loading process went, too
    assert code != 0
    assert time.monotonic() - start < 60
    assert "SIGKILL" in output
    code, output = launch_server.torchrun(training_workplace, *arguments).end()
    assert code == 0, output
    assert differences(two, checkpoint(training_workplace / "experiments" / "killed")) == []


def test_stopped_process_is_waited_for_and_changes_nothing(launch_server, training_workplace, files, two):
    process = launch_server.torchrun(training_workplace, "-opt", files["two"], "--force_yml", "name=stopped")
    process.wait_for("iter:       3,")
    rank = _last_rank(process)
    os.kill(rank, signal.SIGSTOP)
    time.sleep(3)
    assert process.poll() is None
    os.kill(rank, signal.SIGCONT)
    code, output = process.end()
    assert code == 0, output
    assert differences(two, checkpoint(training_workplace / "experiments" / "stopped")) == []


def test_sfd_trains_on_two_processes_as_on_one(launch_server, training_workplace, repository):
    demo = yaml.safe_load((repository / "options" / "demo" / "sfd_tiny.yml").read_text())
    options = deepcopy(TRAIN) | {name: demo[name] for name in ("clip", "network_d_feat", "network_d_tg")}
    options["datasets"]["train"] |= {"dataset_enlarge_ratio": 1, "num_worker_per_gpu": 0}
    del options["network_d"], options["train"]["optim_d"]
    options["train"] |= {name: demo["train"][name] for name in ("optim_d_feat", "optim_d_tg")}
    losses = {name: demo["train"]["losses"][name] for name in ("l_g_feat", "l_g_tg")}
    options["train"]["losses"] = {"l_g_pix": {"type": "L1Loss"}, **losses}
    results = []
    for processes in (1, 2):
        options["name"] = f"sfd_{processes}"
        options["datasets"]["train"]["batch_size_per_gpu"] = 2 // processes
        path = training_workplace / f"sfd_{processes}.yml"
        path.write_text(yaml.safe_dump(options))
        results.append(train_double(launch_server, training_workplace, str(path), processes))
    _require_close(*results, ("net_g_2", "net_d_feat_2", "net_d_tg_2"))
