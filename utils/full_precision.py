"""Leave half precision for what cannot bear it, such as a comparison of patches; autocast is switched off beside it."""

import torch
from torch import Tensor


def widen(images: Tensor) -> Tensor:
    """Return half precision as float32, and anything else as it is.

    Example:
        >>> widen(torch.ones(2, dtype=torch.bfloat16)).dtype, widen(torch.ones(2, dtype=torch.float64)).dtype
        (torch.float32, torch.float64)
    """
    return images.float() if images.dtype in (torch.bfloat16, torch.float16) else images
