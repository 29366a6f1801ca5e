"""Stable Diffusion 2's UNet, VAE and schedulers from diffusers: loaded or random.

diffusers is imported when it is first needed: that takes seconds, and GAN trainings do without it.
"""

import importlib
import inspect
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from prismsr.archs.latent.options import StableDiffusionOptions
from prismsr.utils.errors import OptionError
from prismsr.utils.names import did_you_mean
from prismsr.utils.options.problems import join
from prismsr.utils.weights.files import WeightsError
from prismsr.utils.weights.needs import Need
from prismsr.utils.weights.tensors_only import tensors_only

import torch
from torch import Tensor, nn

UNET_CONFIG: dict[str, Any] = {
    "sample_size": 64,
    "block_out_channels": [320, 640, 1280, 1280],
    "attention_head_dim": [5, 10, 20, 20],  # diffusers' name for the number of heads
    "cross_attention_dim": 1024,
    "use_linear_projection": True,
}
"""Where SD-2-base differs from the defaults of diffusers' UNet2DConditionModel."""
VAE_CONFIG: dict[str, Any] = {
    "block_out_channels": [128, 256, 512, 512],
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
    "layers_per_block": 2,
    "latent_channels": 4,
    "sample_size": 512,
    "scaling_factor": 0.18215,
}
"""SD's VAE. Its shipped config has no scaling_factor; 0.18215 is diffusers' default."""
NOISE_CONFIG: dict[str, Any] = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "prediction_type": "epsilon",
    "steps_offset": 1,
    "timestep_spacing": "leading",
}
"""SD-2-base's noise, written out: a config converted from its PNDM scheduler would clip latents to [-1, 1]."""
LDM_NAMES = {
    "time_embed.0": "time_embedding.linear_1",
    "time_embed.2": "time_embedding.linear_2",
    "input_blocks.0.0": "conv_in",
}
LDM_BLOCK = {
    "in_layers.0": "norm1",
    "in_layers.2": "conv1",
    "emb_layers.1": "time_emb_proj",
    "out_layers.0": "norm2",
    "out_layers.3": "conv2",
    "skip_connection": "conv_shortcut",
}
"""Modules of LDM's UNets in diffusers' names: at the beginning, and within a residual block."""
SchedulerName = Literal["ddpm", "ddim", "dpm++"]
_SCHEDULERS: dict[str, tuple[str, dict[str, Any]]] = {
    "ddpm": ("DDPMScheduler", {"clip_sample": False, "variance_type": "fixed_small"}),
    "ddim": ("DDIMScheduler", {"clip_sample": False, "set_alpha_to_one": False}),
    "dpm++": ("DPMSolverMultistepScheduler", {"algorithm_type": "dpmsolver++", "solver_order": 2}),
}


def diffusers() -> Any:
    """Return the package diffusers; OptionError where it is not installed."""
    try:
        return importlib.import_module("diffusers")
    except ImportError as error:
        raise OptionError(
            f"Networks on latents need the package diffusers, which cannot be imported: pip install diffusers ({error})"
        ) from error


def build_unet(options: StableDiffusionOptions) -> Any:
    """Return UNet2DConditionModel, float32, on the CPU: loaded, or random with `path: ~`.

    OptionError for a config that diffusers does not take, WeightsError where the weights are not at hand.
    """
    if options.path is not None:
        return load_pretrained("UNet2DConditionModel", options.path, "unet", options.revision)
    return _random("UNet2DConditionModel", {**UNET_CONFIG, **options.unet}, options.seed, "base.unet")


def build_vae(options: StableDiffusionOptions) -> Any:
    """Return AutoencoderKL, frozen, in eval mode, float32, on the CPU; errors as build_unet has them."""
    path = options.vae_path or options.path
    if path is not None:
        revision = options.revision if path == options.path else None
        vae = load_pretrained("AutoencoderKL", path, "vae", revision)
    else:
        vae = _random("AutoencoderKL", {**VAE_CONFIG, **options.vae}, options.seed, "base.vae")
    return vae.eval().requires_grad_(False)


def build_scheduler(name: SchedulerName = "ddpm", **changes: Any) -> Any:
    """Return a scheduler of diffusers with SD-2-base's noise (epsilon prediction, no clipping).

    "ddpm" is that of training and of the paper's sampling. `changes` are to diffusers' config, e.g. timestep_spacing.
    """
    if name not in _SCHEDULERS:
        raise OptionError(f"scheduler is {name!r}; allowed: {', '.join(_SCHEDULERS)}")
    kind, own = _SCHEDULERS[name]
    return getattr(diffusers(), kind)(**{**NOISE_CONFIG, **own, **changes})


def encode_images(vae: Any, images: Tensor, generator: torch.Generator | None = None, sample: bool = True) -> Tensor:
    """Return scaled latents (B, 4, H / 8, W / 8) of RGB images (B, 3, H, W) in [0, 1], sides multiples of 8.

    They are drawn from the posterior, on the generator's device (None is torch's own), or are its mode.
    """
    posterior = vae.encode(2 * images - 1).latent_dist
    latents: Tensor = posterior.sample(generator) if sample else posterior.mode()
    return latents * vae.config.scaling_factor


def decode_latents(vae: Any, latents: Tensor) -> Tensor:
    """Return RGB images (B, 3, H, W), about [0, 1] and not clamped, of scaled latents; differentiable to them."""
    images: Tensor = vae.decode(latents / vae.config.scaling_factor).sample
    return (images + 1) / 2


def vae_factor(vae: Any) -> int:
    """Return by how much a VAE reduces the sides; 8 for SD's."""
    return 2 ** (len(vae.config.block_out_channels) - 1)


def _random(kind: str, config: Mapping[str, Any], seed: int, key: str) -> Any:
    known = list(inspect.signature(getattr(diffusers(), kind).__init__).parameters)[1:]
    unknown = [f"{key}.{name}: unknown{did_you_mean(name, known)}" for name in config if name not in known]
    if unknown:
        raise OptionError("; ".join(unknown))
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # not CUDA's, which fork_rng leaves out
        return build_diffusers(kind, config, key)


def build_diffusers(kind: str, config: Mapping[str, Any], key: str) -> Any:
    """Return a network of diffusers with its own random weights; OptionError where sizes do not go together."""
    try:
        return getattr(diffusers(), kind)(**config)
    except (TypeError, ValueError, RuntimeError, LookupError, ArithmeticError) as error:
        raise OptionError(f"{key} does not suit diffusers' {kind}: {error}") from error


def is_on_hub(path: str) -> bool:
    """Return whether a path is no folder but a repository of the Hugging Face hub."""
    return not Path(path).expanduser().is_dir() and path.count("/") == 1 and not path.startswith((".", "~", os.sep))


def base_needs(options: StableDiffusionOptions, key: str) -> Iterator[Need]:
    """Yield what build_unet and build_vae load from the hub, and a ControlNet; folders say themselves what they lack.

    The section `base` may be unchecked; `key` is its key path.
    """
    places = {"unet": "path", "vae": "vae_path" if options.vae_path else "path", "controlnet": "controlnet_path"}
    for part, name in places.items():
        repository = getattr(options, name, None)
        if isinstance(repository, str) and is_on_hub(repository):
            pinned = options.revision and part != "controlnet" and repository == options.path
            source = f"{repository}@{options.revision}" if pinned else repository
            yield Need(f"diffusers:{source}:{part}", join(key, name))


@tensors_only()
def load_pretrained(kind: str, path: str, subfolder: str, revision: str | None) -> Any:
    """Return a network from a folder (its own, or one with subfolders) or the hub: its cache first, then a download."""
    network = getattr(diffusers(), kind)
    folder = Path(path).expanduser()
    if folder.is_dir():
        inner = folder if (folder / "config.json").is_file() else folder / subfolder
        return _read(network, str(inner), {})
    if not is_on_hub(path):
        raise WeightsError(f"No folder at {path}; it is to have diffusers' layout, with {subfolder}/config.json.")
    settings = {"subfolder": subfolder, "revision": revision}
    with suppress(WeightsError):
        return _read(network, path, {**settings, "local_files_only": True})
    try:
        return _read(network, path, settings)
    except WeightsError as error:
        raise WeightsError(
            f"The weights of {path} ({subfolder}) are not on this machine and could not be downloaded. On a machine "
            f"with a network, run: hf download {path} --include '{subfolder}/*' --local-dir DIR. Copy DIR here and "
            f"name it in place of {path}, or copy the cache (HF_HOME, by default ~/.cache/huggingface). "
            f"({error.__cause__})"
        ) from error


def _read(network: Any, path: str, settings: Mapping[str, Any]) -> nn.Module:
    try:
        # all at once, not on the meta device: what a file lacks would stay there
        loaded, info = network.from_pretrained(path, low_cpu_mem_usage=False, output_loading_info=True, **settings)
    except (OSError, ValueError, RuntimeError) as error:
        raise WeightsError(f"{path} cannot be read as diffusers' {network.__name__}: {error}") from error
    missing = list(info["missing_keys"]) + [str(key) for key in info["mismatched_keys"]]
    if missing:
        raise WeightsError(
            f"{path} lacks weights of {network.__name__}: {', '.join(missing[:4])} ({len(missing)} in all)."
        )
    return loaded


def posterior_moments(vae: Any, images: Tensor) -> Tensor:
    """Mean and log variance of the posterior, (B, 2 C, h, w), not scaled, of RGB images (B, 3, H, W) in [0, 1]."""
    return vae.encode(2 * images - 1).latent_dist.parameters
