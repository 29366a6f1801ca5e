"""Export an LGCAANet to a folder in diffusers' layout, and read it back.

unet/, vae/, controlnet/ and scheduler/ are diffusers' own and load with its classes. What those cannot hold, the LGCAA
modules, the projection and X_RGB's head, is in lgcaa.safetensors, and what they belong to in lgcaa.json.
"""

import json
from pathlib import Path
from typing import Any

from prismsr.archs.latent.stable_diffusion import build_scheduler
from prismsr.metrics.tensors import read_tensor
from prismsr.models.training.checkpoint_files import save_safetensors
from prismsr.utils.errors import JobError, OptionError
from prismsr.utils.files import atomic_write
from prismsr.utils.options.files import load_options
from prismsr.utils.weights.files import WeightsError, load_state_dict, network_weights, require_fit
from prismsr.utils.weights.network_notes import require_same_options

import torch
from basicsr.archs import build_network
from torch import Tensor

TENSORS, SECTIONS = "lgcaa.safetensors", "lgcaa.json"
TYPES = {"net": "LGCAANet", "vae": "ImageAutoencoder"}
"""What is exported, and the type of its network_g."""
_INSIDE = ".lgcaa."


def export_network(net: Any, folder: Path) -> None:
    """Write an LGCAANet without a wrapper to a folder, which is made.

    Without lgcaa.json, and the module's share, unet/ is an ordinary UNet of diffusers.
    """
    state = net.state_dict()
    extra = {name: value.cpu() for name, value in state.items() if _is_extra(name)}
    plain = {name: value.cpu() for name, value in net.unet.state_dict().items() if _INSIDE not in name}
    net.unet.save_pretrained(folder / "unet", state_dict=plain)
    net.vae.save_pretrained(folder / "vae")
    net.controlnet.save_pretrained(folder / "controlnet")
    build_scheduler("ddpm").save_pretrained(folder / "scheduler")
    save_safetensors(folder / TENSORS, extra, {"format": "pt"})
    sections = {**net.sections, "base": {"path": "."}, "frozen_dtype": net.sections["base"]["frozen_dtype"]}
    atomic_write(folder / SECTIONS, json.dumps(sections, indent=1).encode())


def load_exported(folder: Path) -> Any:
    """Read the LGCAANet that export_network wrote; WeightsError where a file lacks or is not of the others.

    The image encoder comes from where its section says.
    """
    try:
        sections = json.loads((folder / SECTIONS).read_text(encoding="utf8"))
    except (OSError, ValueError) as error:
        raise WeightsError(f"{folder} is no export of LGCAA: {SECTIONS} cannot be read ({error}).") from error
    base = {"path": str(folder), "controlnet_path": str(folder / "controlnet")}
    net = build_network(
        {
            "type": "LGCAANet",
            "base": {**base, "frozen_dtype": sections["frozen_dtype"]},
            **{key: sections[key] for key in ("dino", "lgcaa", "rgb")},
        }
    )
    extra = load_state_dict(folder / TENSORS)
    wanted = {name for name in net.state_dict() if _is_extra(name)}
    if wanted != set(extra):
        raise WeightsError(
            f"{folder / TENSORS} does not belong to {SECTIONS}: {len(wanted ^ set(extra))} names differ."
        )
    net.load_state_dict({**net.state_dict(), **extra})
    return net


@torch.no_grad()
def normalise_latents(vae: Any, images: list[Tensor]) -> float:
    """Give the scaled latents of these images mean 0, by channel, and standard deviation 1; decoding stays the same.

    Args:
        vae: AutoencoderKL, changed in place: both 1 x 1 convolutions around the latent, and the scaling factor.
        images: RGB (1, 3, H, W) in [0, 1], sides multiples of its factor.

    Returns:
        The scaling factor, as latent diffusion defines it: 1 / standard deviation.
    """
    latents = torch.cat([vae.encode(2 * image - 1).latent_dist.mean[0].flatten(1) for image in images], dim=1)
    mean = latents.mean(1)
    vae.quant_conv.bias[: len(mean)] -= mean
    vae.post_quant_conv.bias += vae.post_quant_conv.weight[:, :, 0, 0] @ mean
    factor = 1 / float((latents - mean[:, None]).std())
    vae.register_to_config(scaling_factor=factor)
    return factor


def _is_extra(name: str) -> bool:
    return _INSIDE in name or name.startswith(("projection.", "rgb_head."))


def export_trained(
    what: str, options: Path, checkpoint: Path, output: Path, param_key: str = "params_ema", images: Path | None = None
) -> None:
    """Load a trained network into its arch, write it as diffusers does, and print where; see tools/export.py.

    Raises:
        OptionError: the option file has another network, or `images` has no image.
        WeightsError: the checkpoint is another network's.
        JobError: the folder cannot be written.
    """
    entry = load_options(options).get("network_g") or {}
    if entry.get("type") != TYPES[what]:
        raise OptionError(f"{options}: network_g is of type {entry.get('type')}; {TYPES[what]} is wanted")
    if what == "vae" and images is None:
        raise OptionError("--images is required with vae: the scaling factor is measured on them")
    state, _ = network_weights(checkpoint, param_key)
    net = build_network(entry)
    require_same_options(net, checkpoint, strict=True, advice="")
    require_fit(net, state, checkpoint)
    net.load_state_dict(state)
    try:
        if what == "net" or images is None:
            export_network(net, output)
        else:
            factor = normalise_latents(net.vae, _read_images(images, net.vae))
            net.vae.save_pretrained(output)
            print(f"scaling_factor {factor:.5f}")
    except OSError as error:
        raise JobError(f"{output} cannot be written ({error})") from error
    print(f"written to {output}")


def _read_images(folder: Path, vae: Any) -> list[Tensor]:
    factor = 2 ** (len(vae.config.block_out_channels) - 1)
    images = []
    for path in sorted(folder.glob("*.png")):
        image = read_tensor(path)
        height, width = (side - side % factor for side in image.shape[-2:])
        images.append(image[..., :height, :width])
    if not images:
        raise OptionError(f"--images {folder}: no PNG in this folder")
    return images
