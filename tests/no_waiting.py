"""Find what would make the CPU wait for a GPU, on a machine without one."""

import traceback
from pathlib import Path

from torch.utils._python_dispatch import TorchDispatchMode

WAITING = {
    *("_local_scalar_dense", "nonzero", "masked_select", "_unique", "_unique2", "unique_dim", "unique_consecutive"),
    *("bincount", "is_nonzero", "equal", "repeat_interleave"),
}
"""Operations whose result, or its shape, the CPU has to see."""


class NoWaiting(TorchDispatchMode):
    """Fails where an operation waits: AssertionError with its name and the lines that called it.

    It does not see `Tensor.tolist` on a CPU, which is no operation of torch's.
    """

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        """Run the operation if it does not wait."""
        if func.overloadpacket.__name__ in WAITING:
            frames = [frame for frame in traceback.extract_stack()[:-1] if "site-packages/torch" not in frame.filename]
            lines = [f"{Path(frame.filename).name}:{frame.lineno} {frame.line}" for frame in reversed(frames[-4:])]
            raise AssertionError(f"{func} waits for the device; called by {' < '.join(lines)}")
        return func(*args, **(kwargs or {}))
