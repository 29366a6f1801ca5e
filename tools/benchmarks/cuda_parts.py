"""What the processes of the benchmark `cuda` measure; each prints its rows as JSON lists, one a line."""

import os
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from tempfile import TemporaryDirectory
from typing import Any

from prismsr.losses.self_similarity.self_similarity_loss import SelfSimilarityLoss, self_similarity_loss
from prismsr.losses.self_similarity.triton_loss import VARIABLE
from prismsr.tools.benchmarks.measure import (
    PeakMemory,
    crop_photographs,
    format_megabytes,
    load_reference,
    synchronize,
    time_run,
)
from prismsr.tools.benchmarks.pairs import REFERENCE, make_ssl_case
from prismsr.tools.benchmarks.random_training import build_random, load_random
from prismsr.utils.errors import shorten_error

import torch
from basicsr.utils import set_random_seed
from torch import Tensor
from torch.nn import functional as F

STEPS = {"full": (3, 8), "tiny": (1, 2)}
"""Steps before the clock starts, and steps that it times."""
RUNS: dict[str, dict[str, Any]] = {
    "fp32": {"amp": None, "grad_checkpointing": False},
    "bf16": {"amp": "bf16", "grad_checkpointing": False},
    "bf16, checkpointing": {"amp": "bf16", "grad_checkpointing": True},
    "bf16, compile": {"amp": "bf16", "grad_checkpointing": False, "compile": True},
}
COMPILED = "ssl/esrgan_ssl_x4.yml"
"""The option file that is compiled, too: that takes a minute."""
SIDE = 512
"""Of a sampled image."""

Row = list[str]


def attempt(title: Row, measure: Callable[[], Row]) -> Row:
    """Return title and measured cells, or what went wrong."""
    try:
        return [*title, *measure()]
    except Exception as error:  # whatever it is, the others shall be measured
        return [*title, f"failed: {shorten_error(error)[:160]}"]
    finally:
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


# ------------------------------------------------------------------------------------------------------ the loss


def measure_loss(device: torch.device, size: int, batch: int, repeat: int = 5) -> Iterator[Row]:
    """Yield time, memory and distance from the sweep by form of the loss and mask_stride."""
    for stride in (1, 3):
        sr, gt, kept = make_ssl_case(size, batch, stride, device)
        title = [f"{batch} x {size}x{size}", str(stride), str(int(kept.sum()))]
        swept = _evaluate("sweep", sr, gt, kept)
        for form in ("triton", "sweep", "unfolded"):
            if form == "triton" and device.type == "cpu":
                continue
            yield attempt([*title, form], partial(_measure_form, form, sr, gt, kept, swept, repeat))


def _evaluate(form: str, sr: Tensor, gt: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    loss = self_similarity_loss if form != "unfolded" else load_reference(REFERENCE).reference_loss
    os.environ[VARIABLE] = "triton" if form == "triton" else "sweep"
    image = sr.clone().requires_grad_()
    value = loss(image, gt, mask)
    (gradient,) = torch.autograd.grad(value, image)
    return value.detach(), gradient


def _measure_form(form: str, sr: Tensor, gt: Tensor, mask: Tensor, expected: tuple[Tensor, Tensor], repeat: int) -> Row:
    found = _evaluate(form, sr, gt, mask)  # Triton compiles
    differences = [_differ(*pair) for pair in zip(found, expected, strict=True)]
    del found
    result = time_run(lambda: _evaluate(form, sr, gt, mask)[0], repeat, sr.device)
    return [f"{1e3 * result['seconds']:.2f} ms", format_megabytes(result["bytes"]), *differences]


def _differ(one: Tensor, other: Tensor) -> str:
    scale = other.double().abs().max().clamp_min(1e-30)
    return f"{((one.double() - other.double()).abs().max() / scale).item():.1e}"


# ------------------------------------------------------------------------------------------------------ steps


def measure_steps(device: torch.device, file: str, sizes: str) -> Iterator[Row]:
    """Yield speed and memory of an option file's training step by precision and what else changes it."""
    for name, train in RUNS.items():
        if "compile" in train and file != COMPILED:
            continue
        yield attempt([file, name], partial(_measure_step, file, train, STEPS[sizes], device))


def _measure_step(file: str, train: dict[str, Any], steps: tuple[int, int], device: torch.device) -> Row:
    memory = PeakMemory(device)
    opt, left_out = load_random(file)
    opt["train"] |= train
    torch.backends.cudnn.benchmark = device.type == "cuda"  # as in BasicSR's trainer
    set_random_seed(0)
    model, batch = build_random(opt, device)

    def step() -> None:
        model.feed_data(batch)
        model.optimize_parameters(1)

    for _ in range(steps[0]):
        step()
    synchronize(device)
    start = time.perf_counter()
    for _ in range(steps[1]):
        step()
    synchronize(device)
    seconds = (time.perf_counter() - start) / steps[1]
    peak = format_megabytes(memory.before + memory.measure_extra())
    model.guard.catch_up()
    if model.guard.skipped_in_row:
        left_out = [*left_out, "updates: gradients were not finite"]
    cells = [str(len(model.lq)), f"{1 / seconds:.2f}", peak, _share_of_ssl(model, step, seconds)]
    return [*cells, _count_waits(step, device), ", ".join(left_out)]


def _share_of_ssl(model: Any, step: Callable[[], None], seconds: float) -> str:
    terms = [term for term in model.terms.values() if isinstance(term, SelfSimilarityLoss)]
    if not terms:
        return "-"
    times: list[float] = []

    def note_time(*_: Any) -> None:
        synchronize(model.device)
        times.append(time.perf_counter())

    terms[0].register_forward_pre_hook(note_time)
    terms[0].register_forward_hook(note_time)
    step()
    taken = sum(times[1::2]) - sum(times[::2])
    return f"{1e3 * taken:.1f} ms, {taken / seconds:.1%}"


def _count_waits(step: Callable[[], None], device: torch.device) -> str:
    """Return how often a step waits for the GPU, and the place that does so first."""
    if device.type != "cuda":
        return "-"
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            step()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    found = [warning for warning in caught if "synchroniz" in str(warning.message)]
    places = sorted({f"{os.path.basename(one.filename)}:{one.lineno}" for one in found})
    return f"{len(found)} ({', '.join(places[:3])})" if found else "0"


# ------------------------------------------------------------------------------------------------------ sampling


def measure_sampling(device: torch.device, file: str, sizes: str) -> Iterator[Row]:
    """Yield time and memory of one image."""
    side = SIDE if sizes == "full" else 64
    yield attempt([file, f"{side}x{side}"], partial(_measure_sampling, file, side, device))


def _measure_sampling(file: str, side: int, device: torch.device) -> Row:
    memory = PeakMemory(device)
    opt, _ = load_random(file)
    set_random_seed(0)
    model, _ = build_random(opt, device)
    model.feed_data({"lq": crop_photographs(side // opt["scale"], 1)})
    times = []
    for _ in range(2):  # the first prepares
        start = time.perf_counter()
        model.test()
        synchronize(device)
        times.append(time.perf_counter() - start)
    sampling = (opt.get("val") or {}).get("sampling") or {}
    steps = sampling.get("steps") or opt["network_g"].get("schedule", {}).get("steps", "-")
    return [str(steps), f"{times[-1]:.2f} s", format_megabytes(memory.before + memory.measure_extra())]


# ------------------------------------------------------------------------------------------------------ equality


def compare_losses(device: torch.device) -> Iterator[Row]:
    """Yield how far value and gradient of each loss are from the CPU's."""
    from prismsr import functional

    gt = crop_photographs(64, 2)
    sr = F.avg_pool2d(gt, 3, 1, 1)
    losses: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
        "self_similarity_loss": functional.self_similarity_loss,
        "self_similarity_loss, paper": partial(functional.self_similarity_loss, stride=3, border="image"),
        "best_buddy_loss": functional.best_buddy_loss,
        "gradient_loss": functional.gradient_loss,
        "ldl_loss": lambda sr, gt: functional.ldl_loss(sr, gt, sr_ema=(sr + gt) / 2),
        "psnr_loss": functional.psnr_loss,
        "back_projection_loss": lambda sr, gt: functional.back_projection_loss(sr, F.avg_pool2d(gt, 4)),
    }
    os.environ.pop(VARIABLE, None)
    for name, loss in losses.items():
        yield attempt([name], partial(_compare_loss, loss, sr, gt, device))


def _compare_loss(loss: Callable[[Tensor, Tensor], Tensor], sr: Tensor, gt: Tensor, device: torch.device) -> Row:
    results = []
    for place in (torch.device("cpu"), device):
        image = sr.to(place).requires_grad_()
        value = loss(image, gt.to(place))
        (gradient,) = torch.autograd.grad(value, image)
        results.append((value.detach().cpu(), gradient.cpu()))
    return [_differ(*pair) for pair in zip(results[1], results[0], strict=True)]


def compare_resumed(device: torch.device) -> Iterator[Row]:
    """Yield how far weights and optimiser states of a resumed training are from those of one that ran through."""
    torch.use_deterministic_algorithms(True, warn_only=True)
    file = "demo/gan_ssl_x4.yml"
    with TemporaryDirectory() as folder:
        whole = _train(file, device, folder, range(1, 7))
        state = torch.load(f"{folder}/3.state", weights_only=True)
        resumed = _train(file, device, folder, range(4, 7), state)
    for kind, ours in whole.items():
        pairs = list(zip(ours, resumed[kind], strict=True))
        equal = sum(torch.equal(one, other) for one, other in pairs)
        largest = max(float((one.double() - other.double()).abs().max()) for one, other in pairs if one.numel())
        yield [kind, str(len(pairs)), str(equal), f"{largest:.1e}"]


def _train(
    file: str, device: torch.device, folder: str, iterations: range, state: dict[str, Any] | None = None
) -> dict[str, list[Tensor]]:
    opt, _ = load_random(file)
    set_random_seed(0)
    model, batch = build_random(opt, device)
    model.opt["path"] = {"models": folder, "training_states": folder}
    if state is not None:
        for name, net in {"g": model.net_g, **model.discriminators}.items():
            model.load_network(net, f"{folder}/net_{name}_3.pth", True, "params")
        model.load_network(model.net_g_ema, f"{folder}/net_g_3.pth", True, "params_ema")
        model.resume_training(state)
    for iteration in iterations:
        model.feed_data({name: value.roll(iteration, -1) for name, value in batch.items()})
        model.optimize_parameters(iteration)
        if iteration == 3:
            model.save(0, 3)
    nets = [model.net_g, model.net_g_ema, *model.discriminators.values()]
    states = [values for optimizer in model.optimizers for values in optimizer.state.values()]
    return {
        "weights and buffers": [value.cpu() for net in nets for value in net.state_dict().values()],
        "optimisers' states": [value.cpu() for values in states for value in values.values()],
    }
