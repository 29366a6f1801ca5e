"""Trainings on the CPU for tests: a tiny experiment with all kinds of state, and what its files hold."""

import json
import os
import signal
import subprocess
import sys
import threading
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch

TRAIN: dict[str, Any] = {
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


class LaunchServer:
    """Starts trainings and tools in forked processes, one at a time, and waits for them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.log = root / "server.log"
        script = Path(__file__).with_name("launch_server.py")
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        self.server = subprocess.Popen(
            [sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def train(
        self,
        *arguments: str,
        kill: signal.Signals | None = None,
        after: float = 0.0,
        file_limit: int | None = None,
        command: str = "train",
    ) -> int:
        """Exit code of a training; negative: the signal that ended it.

        Args:
            arguments: of train.py, or of the tool.
            kill: a signal to send it; SIGKILL goes to its workers, too.
            after: seconds from the start to the signal.
            file_limit: bytes that a file may have, so that a larger one fails like on a full disk.
            command: name of a tool, to run that instead; paths start from `root`.
        """
        self.log.write_text("")
        order = {"root": str(self.root), "log": str(self.log), "command": command}
        order |= {"arguments": arguments, "file_limit": file_limit}
        self.server.stdin.write(json.dumps(order) + "\n")
        self.server.stdin.flush()
        process = int(self.server.stdout.readline())
        timer = threading.Timer(after, _send, (process, kill)) if kill else None
        if timer is not None:
            timer.start()
        code = int(self.server.stdout.readline())
        if timer is not None:
            timer.cancel()
        return code

    def close(self) -> None:
        self.server.stdin.close()
        self.server.wait(timeout=30)


def _send(process: int, number: signal.Signals) -> None:
    try:
        if number == signal.SIGKILL:
            os.killpg(process, number)
        else:
            os.kill(process, number)
    except ProcessLookupError:
        pass


def checkpoint(folder: Path) -> dict[str, Any]:
    """Content of every file of an experiment that a resumed run must have like one that ran through."""
    files = sorted([*folder.glob("models/*"), *folder.glob("training_states/*"), *folder.glob("*.csv")])
    return {str(path.relative_to(folder)): _content(path) for path in files if path.suffix != ".sha256"}


def _content(path: Path) -> Any:
    return path.read_text() if path.suffix == ".csv" else torch.load(path, weights_only=True)


def differences(one: Any, other: Any, where: str = "") -> list[str]:
    """Places at which two nested containers are not equal bit for bit."""
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return [] if one.dtype == other.dtype and torch.equal(one, other) else [where]
    if isinstance(one, dict) and isinstance(other, dict):
        if one.keys() != other.keys():
            return [f"{where}: {sorted(map(str, one.keys() ^ other.keys()))}"]
        return [place for key in one for place in differences(one[key], other[key], f"{where}/{key}")]
    if isinstance(one, list | tuple) and isinstance(other, list | tuple) and len(one) == len(other):
        pairs = enumerate(zip(one, other, strict=True))
        return [place for index, (a, b) in pairs for place in differences(a, b, f"{where}/{index}")]
    return [] if one == other else [where]


def build_resumed(options: dict[str, Any], folder: Path) -> Any:
    """Return the model of these options as it goes on from the checkpoint of iteration 1 in a folder."""
    from basicsr.models import build_model  # after prismsr, which the processes of this module may not have imported

    networks = [key.removeprefix("network_") for key in options if key.startswith("network_")]
    files = {f"pretrain_network_{net}": str(folder / f"net_{net}_1.pth") for net in networks}
    model = build_model({**deepcopy(options), "path": {**options["path"], **files}})
    model.resume_training(torch.load(folder / "1.state", weights_only=True))
    return model


def torchrun(
    workplace: Path, *arguments: str, options: tuple[str, ...] = ("--standalone", "--nproc_per_node=2")
) -> Any:
    """Start train.py under torchrun; both outputs come in one stream.

    Args:
        workplace: as the fixture `training_workplace` makes it.
        arguments: of train.py.
        options: of torchrun.
    """
    script = str(workplace / "basicsr" / "train.py")
    return _start(workplace, "-m", "torch.distributed.run", *options, script, "--launcher", "pytorch", *arguments)


def train_double(workplace: Path, file: str, processes: int) -> dict[str, Any]:
    """Train in float64, in one process or several under torchrun, and return the experiment's `checkpoint`."""
    script = str(Path(__file__).with_name("train_double.py"))
    launcher = ("-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}")
    several = processes > 1
    command = (script, str(workplace), *(("--launcher", "pytorch") if several else ()), "-opt", file)
    process = _start(workplace, *(launcher if several else ()), *command)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    return checkpoint(workplace / "experiments" / Path(file).stem)


def _start(workplace: Path, *arguments: str) -> Any:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    return subprocess.Popen([sys.executable, *arguments], cwd=workplace, env=environment, text=True, **streams)
