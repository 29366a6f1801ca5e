"""The global random generators: python's, numpy's, torch's and the current CUDA device's, as plain data."""

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor


def rng_state() -> dict[str, Any]:
    """State of all global generators, of types that torch.load reads with weights_only."""
    kind, keys, position, has_gauss, cached = np.random.get_state(legacy=True)
    state: dict[str, Any] = {
        "python": random.getstate(),
        "numpy": (str(kind), torch.from_numpy(np.array(keys, np.int64)), int(position), int(has_gauss), float(cached)),
        "torch": torch.get_rng_state(),
    }
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def set_rng_state(state: dict[str, Any]) -> None:
    """Put all global generators into a state that `rng_state` returned; CUDA's only where there is CUDA."""
    random.setstate(state["python"])
    kind, keys, position, has_gauss, cached = state["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), position, has_gauss, cached))
    torch.set_rng_state(state["torch"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])


@contextmanager
def keep_generators() -> Iterator[None]:
    """Put python's, numpy's and torch's CPU generator back, after the block, as they were before it.

    For what is done for every sample: unlike `rng_state` it converts nothing and leaves CUDA alone.
    """
    states = random.getstate(), np.random.get_state(), torch.default_generator.get_state()
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.default_generator.set_state(states[2])


def derive_seed(image: Tensor, seed: int) -> int:
    """Return a seed of 62 bits from an image (1, 3, h, w) and the seed of the run."""
    data = repr(tuple(image.shape)).encode() + (image.detach().cpu() * 255).round().to(torch.uint8).numpy().tobytes()
    return int.from_bytes(hashlib.sha256(str(seed).encode() + data).digest()[:8], "big") >> 2
