"""Benchmark `sfd`: an SFD training step, and the same with the vanilla U-Net discriminator in place of SFD's two."""

from collections.abc import Callable
from typing import Any

from prismsr.tools.benchmarks.measure import build_training, format_megabytes, measure
from prismsr.utils.options.files import load_options
from prismsr.utils.places import OPTIONS
from prismsr.utils.tables import markdown_table

import torch
from torch import Tensor
from torch.nn import functional as F

FILES = {"sfd-step": "rrdb_sfd_x4.yml", "vanilla-step": "vanilla_x4.yml"}


def compare_sfd(repeat: int) -> None:
    """Print the comparison; of `repeat` runs the best counts."""
    batch = 8 if torch.cuda.is_available() else 1
    settings = {"size": 256, "batch": batch}
    print(f"\nGT {batch} x 256x256, best of {repeat} steps, without the VGG loss, which both have\n")
    sfd, vanilla = (measure(workload, repeat, **settings) for workload in ("sfd-step", "vanilla-step"))
    both = (("SFD: Feat-D and TG-D", sfd), ("vanilla U-Net discriminator", vanilla))
    rows = [[name, f"{result['seconds']:.2f} s", format_megabytes(result)] for name, result in both]
    ratios = [f"{sfd[key] / max(1e-9, vanilla[key]):.2f}" for key in ("seconds", "bytes")]
    print(markdown_table(["step", "time", "extra peak memory"], [*rows, ["ratio", *ratios]]))


def build_sfd_step(workload: str, gt: Tensor, device: torch.device) -> Callable[[], None]:
    """Return one training step of an option file in options/sfd, as a function to call again and again.

    The networks are the file's, with random weights, CLIP too; the VGG loss, which needs a download and is the same in
    both, is left out. On a CPU the generator is a small RRDBNet, so that the discriminators weigh more, not less.

    Args:
        workload: a key of FILES.
        gt: (B, 3, H, W) in [0, 1].
        device: where to run.
    """
    opt: dict[str, Any] = load_options(OPTIONS / "sfd" / FILES[workload])
    for name in ("l_g_percep", "l_percep"):
        opt["train"]["losses"].pop(name, None)
    if workload == "vanilla-step":
        opt["network_d"] = {"type": "UNetDiscriminatorSN", "num_in_ch": 3, "num_feat": 64}
    else:
        opt["clip"]["pretrained"] = None
    if device.type == "cpu":
        opt["network_g"] |= {"num_feat": 32, "num_block": 2, "num_grow_ch": 16}
    model = build_training(opt, device)
    gt = gt.contiguous()
    model.feed_data({"gt": gt, "lq": F.interpolate(gt, scale_factor=0.25, mode="bicubic", antialias=True)})
    return lambda: model.optimize_parameters(1)
