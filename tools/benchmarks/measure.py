"""What the benchmarks share: a process for each measurement, its time and peak memory, photographs, the machine."""

import contextlib
import importlib.util
import json
import logging
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from prismsr.models.training.basicsr_patches import patch_basicsr
from prismsr.utils.images import read_image
from prismsr.utils.places import HOME

import cv2
import numpy as np
import skimage
import torch
from basicsr.models import build_model
from basicsr.utils import set_random_seed
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

PHOTOGRAPHS = ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg", "motorcycle_left.png", "retina.jpg")
FOLDER = Path(skimage.__file__).parent / "data"
PROGRAM = (sys.executable, str(HOME / "tools" / "benchmark.py"), "--job")
"""The command of a measuring process; behind it comes the job, as JSON."""


def crop_photographs(size: int, batch: int) -> Tensor:
    """Return crops of scikit-image's photographs, from their middle on, (batch, 3, size, size) in [0, 1]."""
    crops = []
    for number in range(batch):
        image = np.asarray(Image.open(FOLDER / PHOTOGRAPHS[number % len(PHOTOGRAPHS)]).convert("RGB"))
        beside = number // len(PHOTOGRAPHS) * size // 4  # the second crop of a photograph lies beside its first
        room = [max(0, size - side) for side in image.shape[:2]]
        image = np.pad(image, ((0, room[0]), (0, room[1]), (0, 0)), mode="reflect")
        y, x = ((side - size) // 2 for side in image.shape[:2])
        x = (x + beside) % (image.shape[1] - size + 1)
        crops.append(torch.from_numpy(image[y : y + size, x : x + size].copy()))
    return torch.stack(crops).permute(0, 3, 1, 2).float() / 255


def cut_crops(number: int = 32, side: int = 512) -> Iterator[NDArray[np.uint8]]:
    """Yield random crops of the photographs, which are enlarged where they are smaller, (side, side, 3) BGR."""
    rng = np.random.default_rng(0)
    images = [read_image(FOLDER / name) for name in PHOTOGRAPHS]
    for count in range(number):
        image = images[count % len(images)]
        if (shortest := min(image.shape[:2])) < side:
            size = [round(length * side / shortest) for length in image.shape[1::-1]]
            image = cv2.resize(image, size, interpolation=cv2.INTER_CUBIC)
        top, left = (int(rng.integers(length - side + 1)) for length in image.shape[:2])
        yield image[top : top + side, left : left + side, :3]


def shrink(gt: Tensor) -> Tensor:
    """Return images (B, 3, H, W) shrunk to a quarter of their sides."""
    return F.interpolate(gt, scale_factor=0.25, mode="bicubic", antialias=True)


def enlarge_again(gt: Tensor) -> Tensor:
    """Return images (B, 3, H, W) that are shrunk and enlarged by bicubic interpolation."""
    return F.interpolate(shrink(gt), size=gt.shape[2:], mode="bicubic")


def measure(name: str, repeat: int, environment: Mapping[str, str] | None = None, **settings: Any) -> dict[str, Any]:
    """Run a job with its settings in a new process.

    Returns:
        seconds (best of `repeat` runs after one for the memory), bytes (peak memory of the first run beyond what was
        held before it), value (what the job returns).
    """
    job = {"name": name, "repeat": repeat, **settings}
    done = subprocess.run([*PROGRAM, json.dumps(job)], env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"benchmark.py: error: {name} with {settings} failed:\n{done.stderr}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def load_reference(file: str) -> Any:
    """Return a module of the tests' folder, which an installed copy lacks: OSError where it is not there."""
    path = HOME / "tests" / file
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def build_training(opt: dict[str, Any], device: torch.device) -> Any:
    """Build the model of options, without a launcher's, as one process trains it on a device, with random weights."""
    machine = {"num_gpu": int(device.type == "cuda"), "dist": False, "rank": 0, "world_size": 1}
    logging.getLogger("basicsr").setLevel(logging.WARNING)
    set_random_seed(0)
    patch_basicsr()
    return build_model({**opt, **machine, "is_train": True, "path": {}})


def time_run(run: Callable[[], Tensor | None], repeat: int, device: torch.device) -> dict[str, Any]:
    """Return time and peak memory of a function in this process: `seconds`, `bytes` and `value` as `measure`."""
    memory = PeakMemory(device)
    value = run()
    peak = memory.measure_extra()
    times = []
    for _ in range(repeat):
        synchronize(device)
        start = time.perf_counter()
        run()
        synchronize(device)
        times.append(time.perf_counter() - start)
    return {"seconds": min(times, default=0.0), "bytes": peak, "value": 0.0 if value is None else float(value.detach())}


class PeakMemory:
    """Peak memory from now on, beyond what is held now: of the GPU, or resident memory of this process (Linux)."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
            self.before = torch.cuda.memory_allocated()
        else:
            with contextlib.suppress(OSError):  # resets the kernel's high-water mark
                Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
            self.before = self._read_status("VmRSS")

    def measure_extra(self) -> int:
        """Return bytes."""
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated() - self.before
        return self._read_status("VmHWM") - self.before

    @staticmethod
    def _read_status(key: str) -> int:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(key)) * 1024


def synchronize(device: torch.device) -> None:
    """Wait for the GPU."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def describe_machine() -> None:
    """Print what the numbers were measured on."""
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else f"CPU, {find_processor()}"
    print(f"{device}; {torch.get_num_threads()} threads; torch {torch.__version__}; Python {platform.python_version()}")


def find_processor() -> str:
    """Return the processor's name."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def format_megabytes(count: float) -> str:
    """Return a number of bytes as text."""
    return f"{count / 1e6:,.0f} MB"


def format_row(*cells: object) -> str:
    """Return a row of a Markdown table."""
    return f"| {' | '.join(str(cell).replace('|', '/') for cell in cells)} |"


def format_header(*columns: str) -> str:
    """Return the head of a Markdown table whose rows are printed as they come."""
    return f"{format_row(*columns)}\n{'|---' * len(columns)}|"
