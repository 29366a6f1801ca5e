"""A network on latents as a generator for inference: each image is sampled as the option file's `val.sampling` says."""

from pathlib import Path
from typing import Any

from prismsr.tools.inference.generator_files import (
    Built,
    build_network_g,
    find_checkpoint,
    load_weights,
    raise_problems,
)
from prismsr.utils.errors import OptionError
from prismsr.utils.options.entries import find_registered
from prismsr.utils.options.files import load_options, load_with_lines
from prismsr.utils.options.named import Named, ask_hook, find_model
from prismsr.utils.options.problems import show
from prismsr.utils.options.sections import count
from prismsr.utils.rng import derive_seed
from prismsr.utils.weights.spandrel import ParamKey

import torch
from torch import Tensor


class SampledNetwork:
    """A network on latents, frozen and in eval mode, and its `Sampler` as one map from image to image.

    The noise of an image is seeded by the run's `seed` and the image itself, so that neither the order of the images
    nor what is done already changes a result.
    """

    def __init__(self, net: Any, sampler: Any, seed: int) -> None:
        self.net, self.sampler, self.seed = net, sampler, seed

    def to(self, device: torch.device) -> "SampledNetwork":
        """Move the network, as a module does it."""
        self.net.to(device)
        return self

    def __call__(self, image: Tensor) -> Tensor:
        """Map (1, 3, h, w) RGB in [0, 1] to scale times that, in [0, 1]."""
        generator = torch.Generator().manual_seed(derive_seed(image, self.seed))
        result: Tensor = self.sampler(self.net, image, generator)
        return result


def is_sampled(file: Path) -> bool:
    """Return whether an option file's network makes images by sampling."""
    network = load_options(file).get("network_g")
    return isinstance(network, dict) and hasattr(find_registered("arch", str(network.get("type"))), "SAMPLING")


def build_from_sampling_options(file: Path, weights: Path | None, param_key: ParamKey, root: Path) -> Built:
    """Build the network on latents of an option file with its trained tensors; see `load_generator`.

    It runs in float32 or, under `val.sampling.amp`, in half precision, and has tiles of its own.

    Raises:
        OptionError: the option file is wrong.
        WeightsError: weights are missing, damaged, or trained with other options.
    """
    from prismsr.archs.latent.options import parse_section
    from prismsr.archs.latent.sampling.sampler import Sampler
    from prismsr.archs.latent.trained_parts import load_trainable

    loaded = load_with_lines(file)
    options = loaded.options
    scale, seed = options.get("scale", 4), options.get("manual_seed") or 0
    for name, value, fits in (("scale", scale, count(scale)), ("manual_seed", seed, not seed or count(seed))):
        if not fits:
            raise OptionError(f"{loaded.lines.get(name, file)}: {name}: must be a whole number; got {show(value)}")
    val = options.get("val") or {}
    sampling = (val.get("sampling") if isinstance(val, dict) else val) or {}
    if not isinstance(sampling, dict):
        raise OptionError(f"{loaded.lines.get('val', file)}: val.sampling: must be a mapping; got {show(sampling)}")
    kind: Any = find_registered("arch", str(options["network_g"]["type"]))
    sampler = Sampler(parse_section(kind.SAMPLING, sampling, "val.sampling"), scale)
    path = weights or find_checkpoint(options, file, root)
    net: Any = build_network_g(loaded, file)
    model = Named(find_model(options), options, "")  # its hook compares what must agree beyond the network, as tiles
    raise_problems(ask_hook(model, options, False), loaded, file)
    if net.sections.get("base", {}).get("frozen_dtype", "float32") != "float32" and sampler.options.amp is None:
        raise OptionError(f"{file}: val.sampling.amp: is required with network_g.base.frozen_dtype below float32")
    name, settings = load_weights(net, options, file, path, param_key, load_trainable)
    settings |= {"sampling": sampling, "seed": seed}
    sampled = SampledNetwork(net, sampler, seed)
    return Built(sampled, name, sampler.scale, 1, settings, whole=True, precisions=("fp32",))
