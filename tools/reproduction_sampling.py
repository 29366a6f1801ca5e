"""LGCAA as a generator for inference: each image is sampled as the option file's `val.sampling` says."""

import hashlib
from pathlib import Path
from typing import Any

from prismsr.utils.devices import find_device
from prismsr.utils.generator_files import ParamKey, build_network_g, file_hash, state_dict
from prismsr.utils.generators import Generator, GeneratorError
from prismsr.utils.option_files import load_options, load_with_lines

import torch
from torch import Tensor

NETWORK = "LGCAANet"


def samples(options: Path) -> bool:
    """Whether an option file's network makes images by sampling."""
    return bool((load_options(options).get("network_g") or {}).get("type") == NETWORK)


def load_sampler(
    options: Path,
    checkpoint: Path | None = None,
    param_key: ParamKey = "auto",
    device: str = "auto",
    precision: str = "fp32",
    root: Path = Path(),
) -> Generator:
    """A generator that samples; the noise of an image is seeded by `manual_seed` and the image itself.

    So neither the order of the images nor what is done already changes a result.

    Args:
        options: option file of LGCAAModel.
        checkpoint: its trained tensors.
        param_key: see `prismsr.utils.generators.load_generator`.
        device: see `prismsr.utils.devices.find_device`.
        precision: fp32; half precision is the option file's `val.sampling.amp`.
        root: not used; for the same call as `load_generator`.

    Raises:
        OptionError: the option file is wrong.
        WeightsError: weights are missing, damaged, or trained with other options.
        GeneratorError: another precision.
    """
    from prismsr.utils.diffusion_sampling import Sampler
    from prismsr.utils.lgcaa_options import SamplingOptions

    if precision != "fp32" or checkpoint is None:
        raise GeneratorError("sampling takes --precision fp32; half precision is the option file's val.sampling.amp")
    content, place = load_options(options), find_device(device)
    net, key = _network(options, checkpoint, param_key)
    net.to(place)
    sampling = dict((content.get("val") or {}).get("sampling") or {})
    sampler = Sampler(SamplingOptions.model_validate(sampling), int(content.get("scale", 4)))
    seed = int(content.get("manual_seed") or 0)

    def sampled(image: Tensor) -> Tensor:
        return sampler(net, image, torch.Generator().manual_seed(image_seed(image, seed)))

    settings = {"network": content["network_g"], "weights": file_hash(checkpoint), "param_key": key}
    settings |= {"sampling": sampling, "seed": seed}
    name = str(content.get("name") or options.stem)
    return Generator(sampled, name, sampler.scale, whole=True, device=place, settings=settings)


def _network(options: Path, checkpoint: Path, param_key: ParamKey) -> tuple[Any, str | None]:
    """The network with its trained tensors, frozen, and the key that these were found under."""
    from prismsr.archs.lgcaa_arch import load_trainable
    from prismsr.models.lgcaa_checkpoint import require_same_options

    net = build_network_g(load_with_lines(options), options)
    state, key = state_dict(checkpoint, param_key)
    require_same_options(net, str(checkpoint), strict=True)
    load_trainable(net, state, checkpoint)
    return net.eval().requires_grad_(False), key


def image_seed(image: Tensor, seed: int) -> int:
    """A seed of 62 bits from an image (1, 3, h, w) and the seed of the run."""
    data = repr(tuple(image.shape)).encode() + (image.detach().cpu() * 255).round().to(torch.uint8).numpy().tobytes()
    return int.from_bytes(hashlib.sha256(str(seed).encode() + data).digest()[:8], "big") >> 2
