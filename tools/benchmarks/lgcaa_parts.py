"""Workloads of the benchmark `lgcaa-full`: a training step and sampling by an LGCAANet, whole and in parts."""

from collections.abc import Iterable, Mapping
from typing import Any

from prismsr.archs.latent.sampling.sampler import Sampler
from prismsr.archs.lgcaa.branch import LGCAABranch
from prismsr.archs.lgcaa.options import SamplingOptions
from prismsr.tools.benchmarks.clock import PartClock
from prismsr.tools.benchmarks.measure import PeakMemory, build_training, crop_photographs, give_memory_back, time_run
from prismsr.utils.options.files import load_options
from prismsr.utils.places import OPTIONS

import torch
from basicsr.archs import build_network
from basicsr.utils import set_random_seed
from torch import Tensor, nn
from torch.nn import functional as F

LGCAA = OPTIONS / "lgcaa" / "lgcaa_x4.yml"
MODES = ("none", "full")
"""network_g.lgcaa.mode, without and with the module."""
NARROW: dict[str, Any] = {
    "base": {
        "path": None,
        "unet": {
            "block_out_channels": [32, 64],
            "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D"],
            "up_block_types": ["CrossAttnUpBlock2D", "UpBlock2D"],
            "layers_per_block": 1,
            "attention_head_dim": [2, 4],
            "cross_attention_dim": 64,
            "norm_num_groups": 8,
        },
        "vae": {"block_out_channels": [32, 64, 64, 64], "layers_per_block": 2, "norm_num_groups": 8},
    },
    "dino": {"config": {"embed_dim": 24, "depth": 2, "num_heads": 2, "img_size": 32, "patch_size": 8}, "size": 32},
}
"""SD-2's VAE with a quarter of its channels, and a UNet of two levels."""
SIZES: dict[str, dict[str, Any]] = {
    "full": {"base": {"path": None}, "dino": {"pretrained": False}},
    "tiny": NARROW,
}
"""Sections of network_g: SD-2-base with DINO's ViT-B/16, or a network to try the tool with."""


def describe_network(sizes: Mapping[str, Any], mode: str) -> dict[str, Any]:
    """Return the section network_g: `base` and `dino` of `sizes`, LGCAA's default preset with a mode."""
    return {"type": "LGCAANet", **sizes, "lgcaa": {"preset": "default", "mode": mode}, "rgb": "pixelshuffle"}


def measure_step(section: Mapping[str, Any], gt: Tensor, repeat: int, device: torch.device) -> dict[str, Any]:
    """Measure time and memory of LGCAAModel's training step, after a first one, which makes Adam's state.

    Args:
        section: network_g.
        gt: (B, 3, H, W) in [0, 1].
        repeat: steps of which the best counts.
        device: on CUDA in bf16 with gradient checkpointing, as in the option file; on a CPU in float32 without.

    Returns:
        What `time_run` and `PartClock.time_run` return; `held`, bytes in use between two steps, of which the tensors of
        `tensors`; parameters and how many are `trained`.
    """
    before = PeakMemory(device).before
    model = _build(section, device)
    model.feed_data({"gt": gt, "lq": F.interpolate(gt, scale_factor=0.25, mode="area")})

    def step() -> None:
        model.optimize_parameters(1)
        if model.guard.skipped_in_row:
            raise RuntimeError("A gradient was not finite, so that the step ended without an update.")

    step()
    held = PeakMemory(device).before - before
    result = time_run(step, repeat, device)
    clock = PartClock(device)
    watch_step(clock, model)
    in_parts = {**clock.time_call(step), **_count_parameters(model.net_g)}
    return {**result, **in_parts, "held": held, "tensors": count_tensor_bytes(model)}


def measure_sampling(
    section: Mapping[str, Any], side: int, steps: int, repeat: int | None, device: torch.device
) -> dict[str, Any]:
    """Measure time and memory of sampling one image, x4, as the option file's val.sampling says.

    Args:
        section: network_g.
        side: of the result in pixels, a multiple of 4.
        steps: of the sampling.
        repeat: runs of which the best counts, after one for the memory, before one in parts; None: that one alone.
        device: on CUDA in bf16, as in the option file; on a CPU in float32.

    Returns:
        As measure_step; `held` are the weights, and `seconds` is 0 where repeat is 0 or None.
    """
    if repeat is None:
        give_memory_back()
    before = PeakMemory(device).before
    _seed(device)
    net = build_network(dict(section)).to(device).eval()
    held = PeakMemory(device).before - before
    changes: dict[str, Any] = {"steps": steps}
    if device.type == "cpu":
        changes["amp"] = None
    if repeat is None:
        changes["vae_norm_stages"] = 1  # each pass over the tiles takes the same memory
    options = SamplingOptions.model_validate({**load_options(LGCAA)["val"]["sampling"], **changes})
    sampler, lq = Sampler(options, scale=4), crop_photographs(side // 4, 1).to(device)

    def run() -> Tensor:
        return sampler(net, lq, torch.Generator().manual_seed(2)).mean()

    result = {} if repeat is None else time_run(run, repeat, device)
    clock = PartClock(device)
    watch_network(clock, net)
    memory = PeakMemory(device)
    in_parts = {**clock.time_call(run), **_count_parameters(net)}
    return {"bytes": memory.measure_extra(), "seconds": 0.0, **result, **in_parts, "held": held, "steps": steps}


def _build(section: Mapping[str, Any], device: torch.device) -> Any:
    opt: dict[str, Any] = load_options(LGCAA)
    opt |= {"degradation": None, "network_g": dict(section)}
    opt["train"] |= {"accum_iter": 1}
    opt["train"]["losses"]["l_percep"] |= {"backbone": "st_alexnet"}
    if device.type == "cpu":
        opt["train"] |= {"amp": None, "grad_checkpointing": False}
    _seed(device)
    return build_training(opt, device)


def _seed(device: torch.device) -> None:
    torch.backends.cudnn.benchmark = device.type == "cuda"  # as BasicSR's trainer and its test have it
    set_random_seed(0)


def count_tensor_bytes(model: Any) -> dict[str, int]:
    """Return bytes of a model's tensors between two steps; what two networks share counts once, as net_g's."""
    net, trained = model.get_bare_model(model.net_g), model.optimizer_g.param_groups[0]["params"]
    seen: set[int] = set()

    def count_new(tensors: Iterable[Tensor]) -> int:
        kept = {value.data_ptr(): value.nbytes for value in tensors if value.data_ptr() not in seen}
        seen.update(kept)
        return sum(kept.values())

    return {
        "weights": count_new([*net.parameters(), *net.buffers(), *model.terms.parameters()]),
        "moving average": count_new(model.net_g_ema.parameters()),
        "gradients": count_new(value.grad for value in trained if value.grad is not None),
        "Adam's state": count_new(
            value for state in model.optimizer_g.state.values() for value in state.values() if value.ndim
        ),
    }


def _count_parameters(net: nn.Module) -> dict[str, int]:
    values = list(net.parameters())
    return {
        "parameters": sum(value.numel() for value in values),
        "trained": sum(value.numel() for value in values if value.requires_grad),
    }


def watch_network(clock: PartClock, net: Any) -> None:
    """Time the parts of an LGCAANet."""
    clock.watch(net.vae, "encode", "VAE encoder")
    clock.watch(net.vae, "decode", "VAE decoder")
    clock.watch(net.dino, "forward", "DINO")
    clock.watch(net.controlnet.controlnet_cond_embedding, "features", "E")
    clock.watch(net.controlnet, "forward", "ControlNet")
    clock.watch(net.unet, "forward", "UNet")
    for module in net.unet.modules():
        if isinstance(module, LGCAABranch):
            clock.watch(module, "forward", "LGCAA")
    if net.rgb_head is not None:
        clock.watch(net.rgb_head, "forward", "DPACM")


def watch_step(clock: PartClock, model: Any) -> None:
    """Time the parts of an LGCAAModel's training step."""
    watch_network(clock, model.get_bare_model(model.net_g))
    for term in model.terms.values():
        clock.watch(term, "forward", "DPACM" if "x_rgb" in term.inputs else "noise loss")
    clock.watch(model.precision, "backward", "backward")
    clock.watch(model.optimizer_g, "step", "Adam")
    clock.watch(model, "model_ema", "EMA")
