"""Trainings on the CPU for tests: a tiny experiment with all kinds of state, and what its files hold."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
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
            "l_g_ssl": {"type": "SelfSimilarityLoss", "loss_weight": 10.0, "search": 9, "window": 5},
        },
    },
    "val": {"val_freq": 100, "save_img": True, "metrics": {"psnr": {"type": "calculate_psnr", "crop_border": 4}}},
    "logger": {"print_freq": 1, "save_checkpoint_freq": 2, "use_tb_logger": False},
}

TWO = ("--standalone", "--nproc_per_node=2")
"""Options of torchrun for two processes."""


class Launched:
    """A process that a LaunchServer has started."""

    def __init__(self, server: "LaunchServer", pid: int, log: Path) -> None:
        self.server, self.pid, self.log = server, pid, log
        self.code: int | None = None

    def poll(self) -> int | None:
        """Return the exit code, None while it runs; negative: the signal that ended it."""
        if self.code is None:
            self.code = self.server.ask({"poll": self.pid})
        return self.code

    def wait(self, seconds: float) -> bool:
        """Return whether it has ended within these seconds."""
        return becomes(lambda: self.poll() is not None, seconds)

    def wait_for(self, text: str, seconds: float = 120) -> None:
        """Wait for what it writes."""
        assert becomes(lambda: text in self.log.read_text(), seconds), self.log.read_text()

    def end(self, seconds: float = 120) -> tuple[int | None, str]:
        """Wait for its end; return the exit code and both outputs."""
        if not self.wait(seconds):
            self.send(signal.SIGKILL)
            raise AssertionError(f"no end in {seconds} s: {self.log.read_text()}")
        return self.code, self.log.read_text()

    def send(self, number: signal.Signals) -> None:
        """Send a signal; SIGKILL goes to its workers, too."""
        with suppress(ProcessLookupError):
            (os.killpg if number == signal.SIGKILL else os.kill)(self.pid, number)


def becomes(true: Callable[[], bool], seconds: float) -> bool:
    """Return whether a condition holds within these seconds."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


class LaunchServer:
    """Starts trainings, tools and scripts in forks of one process that has imported everything."""

    def __init__(self, logs: Path) -> None:
        self.logs = logs
        self.started = 0
        script = Path(__file__).with_name("launch_server.py")
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        self.server = subprocess.Popen(
            [sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def ask(self, order: dict[str, Any]) -> Any:
        """Return the server's answer."""
        self.server.stdin.write(json.dumps(order) + "\n")
        self.server.stdin.flush()
        return json.loads(self.server.stdout.readline())

    def start(
        self, root: Path, command: str, *arguments: str, file_limit: int | None = None, log: Path | None = None
    ) -> Launched:
        """Start a command in a folder.

        Args:
            root: where it runs.
            command: as launch_server.py has them.
            arguments: of the command.
            file_limit: bytes that a file may have, so that a larger one fails like on a full disk.
            log: where both outputs go; default: a new file.
        """
        self.started += 1
        if log is None:
            log = self.logs / f"{self.started}.log"
            log.write_text("")
        order = {"root": str(root), "log": str(log), "command": command}
        return Launched(self, self.ask(order | {"arguments": arguments, "file_limit": file_limit}), log)

    def run_code(self, folder: Path, code: str, *arguments: str) -> tuple[int | None, str]:
        """Run code as a script in a folder; return the exit code and both outputs."""
        script = self.logs / f"script_{self.started}.py"
        script.write_text(code)
        return self.start(folder, "script", str(script), *arguments).end()

    def torchrun(self, root: Path, *arguments: str, options: tuple[str, ...] = TWO) -> Launched:
        """Start train.py of a workplace under torchrun."""
        script = str(root / "basicsr" / "train.py")
        return self.start(root, "torchrun", *options, script, "--launcher", "pytorch", *arguments)

    def close(self) -> None:
        self.server.stdin.close()
        self.server.wait(timeout=30)


class Launcher:
    """Runs trainings and tools in one folder, one at a time; `log` holds what the last one wrote."""

    def __init__(self, server: LaunchServer, root: Path) -> None:
        self.server, self.root = server, root
        self.log = root

    def train(
        self,
        *arguments: str,
        kill: signal.Signals | None = None,
        after: float = 0.0,
        file_limit: int | None = None,
        command: str = "train",
    ) -> int | None:
        """Exit code of a training; negative: the signal that ended it.

        Args:
            arguments: of train.py, or of the tool.
            kill: a signal to send it; SIGKILL goes to its workers, too.
            after: seconds from the start to the signal.
            file_limit: bytes that a file may have.
            command: name of a tool, to run that instead; paths start from `root`.
        """
        run = self.server.start(self.root, command, *arguments, file_limit=file_limit)
        self.log = run.log
        if kill and not run.wait(after):
            run.send(kill)
        return run.end(600)[0]


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


def train_double(server: LaunchServer, workplace: Path, file: str, processes: int) -> dict[str, Any]:
    """Train in float64, in one process or several under torchrun, and return the experiment's `checkpoint`."""
    command = [str(Path(__file__).with_name("train_double.py")), str(workplace)]
    if processes > 1:
        ranks = ("torchrun", "--standalone", f"--nproc_per_node={processes}")
        run = server.start(workplace, *ranks, *command, "--launcher", "pytorch", "-opt", file)
    else:
        run = server.start(workplace, "script", *command, "-opt", file)
    code, output = run.end()
    assert code == 0, output
    return checkpoint(workplace / "experiments" / Path(file).stem)
