"""Check the device of a command line before anything is loaded."""

from prismsr.utils.errors import OptionError

import torch


def require_device(text: str) -> None:
    """Raise OptionError where `--device TEXT` names no kind of device, or CUDA and there is none."""
    try:
        device = torch.device(text)
    except RuntimeError as error:
        raise OptionError(f"--device {text}: no such kind of device; allowed: cpu, cuda, cuda:1, ...") from error
    count = torch.cuda.device_count() if device.type == "cuda" else 0
    if device.type == "cuda" and (device.index or 0) >= count:
        raise OptionError(f"--device {text}: torch finds {count or 'no'} CUDA device{'s' * (count > 1)} here")
