"""A few GAN steps on fixed data in float64, in one process or, started by torch.distributed.run, in several on the CPU.

python distributed_steps.py OUT BATCH ACCUM_ITER SPOILT METHOD: BATCH samples in all; the step SPOILT has one NaN, in
the last sample; 0 for none; METHOD is a key of METHODS. Writes OUT.<rank>: the weights, and of each step the log, the
skips in a row and what was said.
"""

import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from prismsr.models.training.basicsr_patches import init_dist, patch_basicsr
from prismsr.models.training.rank_agreement import leave

import torch
from basicsr.models import build_model
from basicsr.utils import set_random_seed
from torch import distributed

STEPS = 4
COMPACT = {"type": "SRVGGNetCompact", "num_feat": 4, "num_conv": 1}
SGD = {"type": "SGD", "lr": 0.1}
LOSSES = {"l_g_pix": {"type": "L1Loss"}, "l_g_gan": {"type": "AdversarialLoss"}}
SPSR = {
    "network_g": {"type": "SPSRNet", "num_feat": 2, "num_block": 20},
    "losses": {**LOSSES, "l_g_branch": {"type": "BranchLoss"}, "l_g_gan": {**LOSSES["l_g_gan"], "view": "gradient"}},
}
"""Two outputs, and a discriminator that sees gradient maps."""
SMALL = {"dim": 8, "num_blocks": [1, 1, 1, 1], "num_refinement_blocks": 1, "n_encoder_res": 1}
PRIOR = {
    "model_type": "DiffIRModel",
    "network_g": {"type": "DiffIRS2", **SMALL},
    "network_s1": {"type": "DiffIRS1", **SMALL},
    "losses": {"l_prior": {"type": "PriorLoss"}},
}
"""The encoder phase; its teacher has the weights of seed 0 in each process."""
STABLESR = {
    "model_type": "StableSRModel",
    "network_g": {
        "type": "StableSRNet",
        "base": {
            "path": None,
            "unet": {
                "block_out_channels": [8],
                "down_block_types": ["CrossAttnDownBlock2D"],
                "up_block_types": ["CrossAttnUpBlock2D"],
                "layers_per_block": 1,
                "attention_head_dim": 2,
                "cross_attention_dim": 8,
                "norm_num_groups": 4,
            },
            "vae": {
                "block_out_channels": [4, 4],
                "down_block_types": ["DownEncoderBlock2D"] * 2,
                "up_block_types": ["UpDecoderBlock2D"] * 2,
                "layers_per_block": 1,
                "norm_num_groups": 2,
            },
        },
        "struct": {"channels": 8, "mult": [1], "res_blocks": 1, "groups": 4},
        "context": "random",
    },
    "losses": {"l_noise": {"type": "NoiseLoss"}, "l_pix": {"type": "L1Loss"}},
}
"""Losses on the noise and on decoded images."""
SHIFT = {
    "model_type": "ResShiftModel",
    "network_g": {
        "type": "ResShiftNet",
        "unet": {"channels": [4, 8], "layers": 1, "groups": 2},
        "swin": {"dim": 4, "head": 2, "window": 2},
        "vq": {"channels": [4, 4, 4], "layers": 1, "codes": 16, "groups": 2},
        "schedule": {"steps": 4, "min_noise": 0.2},
    },
    "losses": {"l_latent": {"type": "LatentLoss"}, "l_pix": {"type": "L1Loss", "loss_weight": 0.1}},
}
METHODS = {
    "plain": {"network_g": {**COMPACT, "upscale": 4}, "losses": LOSSES},
    "spsr": SPSR,
    "prior": PRIOR,
    "stablesr": STABLESR,
    "shift": SHIFT,
}


def main(out: str, batch: int, accum_iter: int, spoilt: int, method: str) -> None:
    """Train and write the result of this process."""
    patch_basicsr()
    several = "RANK" in os.environ
    if several:
        init_dist("pytorch")
    rank, world = (distributed.get_rank(), distributed.get_world_size()) if several else (0, 1)
    set_random_seed(0)
    model = build_model(_options(several, rank, world, accum_iter, METHODS[method]))
    mine = slice(rank * batch // world, (rank + 1) * batch // world)
    skipped, logs, messages = [], [], []
    generator = torch.Generator().manual_seed(1)
    for iteration in range(1, STEPS + 1):
        gt, lq = (torch.rand(batch, 3, side, side, generator=generator) for side in (16, 4))
        if iteration == spoilt:
            gt[-1, 0, 0, 0] = torch.nan
        paths = [f"{number}.png" for number in range(batch)]
        if hasattr(model, "teacher"):  # its noise is that of one process, too
            noise = torch.randn(batch, 256, generator=generator)[mine]
            model._batch = partial(_replace, type(model)._batch, model, {"ipr_noise": noise})
        if hasattr(model, "sampler"):
            draws = _draw(model, batch, iteration)
            model._batch = partial(_replace, type(model)._batch, model, {k: value[mine] for k, value in draws.items()})
        model.feed_data({"gt": gt[mine], "lq": lq[mine], "gt_path": paths[mine]})
        model.optimize_parameters(iteration)
        logs.append(model.get_current_log())
        messages.append(model.guard.message)
        skipped.append(model.training_state()["skipped_in_row"])
    nets = {"g": model.net_g, "ema": model.net_g_ema, **model.discriminators}
    states = {name: model.get_bare_model(net).state_dict() for name, net in nets.items()}
    result = {"states": states, "skipped": skipped, "logs": logs, "messages": messages}
    torch.save(result, f"{out}.{rank}")
    if several:
        leave(0)


def _replace(make_batch: Callable, model: Any, draws: dict) -> dict:
    return {**make_batch(model), **draws}


def _draw(model: Any, batch: int, seed: int) -> dict:
    """Return a latent model's random numbers for the whole batch, in float64 throughout."""
    net = model.get_bare_model(model.net_g)
    side = 16 // net.factor
    for part in (net, model.net_g_ema):
        part.double()  # what is frozen was stored in float32
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return net.process.draw(torch.Size((batch, net.latent_channels, side, side)), torch.device("cpu"))


def _options(several: bool, rank: int, world: int, accum_iter: int, method: dict) -> dict:
    return {
        "name": "test",
        "model_type": method.get("model_type", "PrismSRModel"),
        "scale": 4,
        "num_gpu": 0,
        "dist": several,
        "rank": rank,
        "world_size": world,
        "is_train": True,
        **{key: dict(method[key]) for key in ("network_g", "network_s1") if key in method},
        "network_d": {**COMPACT, "upscale": 1},
        "path": {"models": str(Path.cwd()), "training_states": str(Path.cwd())},
        "train": {
            "ema_decay": 0.5,
            "accum_iter": accum_iter,
            "losses": method["losses"],
            "optim_g": dict(SGD),
            "optim_d": dict(SGD),
            "scheduler": {"type": "MultiStepLR", "milestones": [1000]},
        },
    }


if __name__ == "__main__":
    torch.set_default_dtype(torch.float64)
    main(sys.argv[1], *map(int, sys.argv[2:-1]), sys.argv[-1])
