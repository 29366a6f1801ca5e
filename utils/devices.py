"""The device that a command line names, checked before anything is loaded."""

from prismsr.utils.errors import OptionError

import torch


def find_device(text: str) -> torch.device:
    """Return the torch device of `auto` (CUDA where there is some), `cpu`, `cuda`, `cuda:1`, ...

    Raises:
        OptionError: there is no such kind of device, or it is CUDA and there is none, or not as many.
    """
    if text == "auto":
        text = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(text)
    except RuntimeError as error:
        raise OptionError(f"--device {text}: no such kind of device; allowed: cpu, cuda, cuda:1, ...") from error
    count = torch.cuda.device_count() if device.type == "cuda" else 0
    if device.type == "cuda" and (device.index or 0) >= count:
        raise OptionError(f"--device {text}: torch finds {count or 'no'} CUDA device{'s' * (count > 1)} here")
    return device
