"""How networks lie in memory and are run: channels_last, compilation; and what to do when memory runs out."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Literal

from prismsr.utils.errors import OptionError, TrainingError, shorten_error

import torch
from torch import Tensor, nn
from torch.nn.parallel import DataParallel, DistributedDataParallel

Mode = Literal["default", "reduce-overhead", "max-autotune"]
_LESS_MEMORY = (
    "datasets.train.batch_size_per_gpu (lower)",
    "datasets.train.gt_size (lower)",
    "train.accum_iter (higher)",
    "train.amp (bf16)",
    "train.grad_checkpointing (true)",
)


def to_channels_last(net: nn.Module) -> None:
    """Lay out 4-D weights with channels innermost, which convolutions on tensor cores prefer; values do not change.

    A network with linear layers keeps the usual layout, and gets its images in it: BasicSR's VGGStyleDiscriminator
    views its last maps as rows, which only that layout allows.
    """
    if any(isinstance(module, nn.Linear) for module in net.modules()):
        net.register_forward_pre_hook(_contiguous)
        return
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in torch's annotations


def _contiguous(net: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(value.contiguous() if isinstance(value, Tensor) else value for value in inputs)


def compile_in_place(net: nn.Module, mode: Mode, backend: str = "inductor") -> None:
    """Compile a network's forward pass in place by torch.compile, so that its state dict keeps its keys.

    Of one in DistributedDataParallel the inner network is compiled. OptionError for DataParallel, which copies the
    network to each GPU anew in each step.
    """
    if isinstance(net, DataParallel):
        raise OptionError("train.compile: does not work with one process for several GPUs; start with torchrun.")
    bare = net.module if isinstance(net, DistributedDataParallel) else net
    bare.compile(mode=mode, backend=backend)


def run_uncompiled() -> AbstractContextManager[None]:
    """Return context in which compiled networks run as they are written."""
    return torch.compiler.set_stance("force_eager")


@contextmanager
def explaining_out_of_memory(iteration: int, shapes: Callable[[], dict[str, Tensor]]) -> Iterator[None]:
    """Turn an allocation that failed into a TrainingError that says what to change.

    `shapes` gives names and tensors of the batch, asked for when memory has run out.
    """
    try:
        yield
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        sizes = ", ".join(f"{name} {'x'.join(map(str, tensor.shape))}" for name, tensor in shapes().items())
        raise TrainingError(
            f"Out of memory at iteration {iteration} with the batch {sizes} (samples x channels x height x width). "
            f"To try, in the option file: {', '.join(_LESS_MEMORY)}. The allocation that failed: {shorten_error(error)}"
        ) from error


def is_out_of_memory(error: RuntimeError) -> bool:
    """Return whether CUDA's or the CPU's allocator raised this."""
    return isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator" in str(error)
