"""Benchmarks of a computation beside another one, each in a process of its own: time and peak memory."""

import argparse
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from functools import partial
from typing import Any, NamedTuple

from prismsr.archs.elan_arch import ELAN
from prismsr.losses.best_buddy_loss import best_buddy_loss
from prismsr.losses.self_similarity.self_similarity_loss import edge_mask, self_similarity_loss
from prismsr.tools.benchmarks.measure import (
    build_training,
    crop_photographs,
    enlarge_again,
    format_header,
    format_megabytes,
    format_row,
    load_reference,
    measure,
    shrink,
)
from prismsr.utils.options.files import load_options
from prismsr.utils.places import OPTIONS

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

REFERENCE = "losses/self_similarity/self_similarity_reference.py"
BUDDIES = {"size": 192, "batch": 16}
"""BebyGAN's crops and SSL's batch."""
Run = Callable[[], Tensor | None]


class Pair(NamedTuple):
    """Two ways of a computation, with names of ours and of the other.

    `build` prepares ours, or the `other`, on a device by the settings of a case, and returns what is to be measured.
    `cases` lists by the command's arguments the settings of each line, and whether ours is measured alone. A relative
    difference of the two values above the tolerance is told.
    """

    names: tuple[str, str]
    build: Callable[..., Run]
    cases: Callable[[argparse.Namespace], Iterable[tuple[dict[str, Any], bool]]]
    tolerance: float = torch.inf


def compare(name: str, args: argparse.Namespace) -> None:
    """Print time and memory of both ways, best of `args.repeat` runs."""
    pair = PAIRS[name]
    ours, other = pair.names
    print(f"\nbest of {args.repeat}\n")
    print(format_header("case", f"time: {ours}", other, "ratio", f"extra peak memory: {ours}", other, "ratio"))
    for settings, alone in pair.cases(args):
        both = [measure(name, args.repeat, other=way, **settings) for way in ((False,) if alone else (False, True))]
        cells = [f"{result['seconds']:.3g} s" for result in both] + _form_ratio(both, "seconds")
        cells += [format_megabytes(result["bytes"]) for result in both] + _form_ratio(both, "bytes")
        title = ", ".join(f"{key} {value}" for key, value in settings.items())
        print(format_row(title, *cells), flush=True)
        difference = abs(both[0]["value"] - both[-1]["value"]) / max(1e-30, abs(both[-1]["value"]))
        if difference > pair.tolerance:
            print(f"The values differ by {difference:.1e} of them.")


def _form_ratio(both: list[dict[str, Any]], key: str) -> list[str]:
    return ["-", "-"] if len(both) == 1 else [f"{both[1][key] / max(1e-9, both[0][key]):.2f}"]


def _value_and_gradient(loss: Callable[[Tensor], Tensor], sr: Tensor) -> Tensor:
    image = sr.clone().requires_grad_()
    value = loss(image)
    value.backward()
    return value.detach()


# ------------------------------------------------------------------------------------------------------ losses


def make_ssl_case(size: int, batch: int, mask_stride: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Return photographs enlarged by bicubic interpolation, the photographs, (B, 3, H, H), and the kept edge pixels."""
    gt = crop_photographs(size, batch).to(device)
    rows = torch.arange(size, device=device) % mask_stride
    return enlarge_again(gt).clamp(0, 1), gt, edge_mask(gt) & (rows[:, None] == rows)


def build_ssl(device: torch.device, size: int, batch: int, mask_stride: int, other: bool) -> Run:
    """Return a function for the self-similarity loss and its gradient, by the tests' reference where `other`."""
    sr, gt, mask = make_ssl_case(size, batch, mask_stride, device)
    loss = load_reference(REFERENCE).reference_loss if other else self_similarity_loss
    return partial(_value_and_gradient, lambda image: loss(image, gt, mask, mask_stride=mask_stride), sr)


def list_ssl_cases(args: argparse.Namespace) -> Iterable[tuple[dict[str, Any], bool]]:
    """Yield what is compared, then what is measured alone."""
    for size, batch, stride in ((args.size, args.batch, 1), (args.size, args.batch, 3)):
        yield {"size": size, "batch": batch, "mask_stride": stride}, False
    for size, batch, stride in ((128, 16, 1), (128, 16, 3), (512, 16, 3)):
        yield {"size": size, "batch": batch, "mask_stride": stride}, True


def build_best_buddy(device: torch.device, size: int, batch: int, other: bool) -> Run:
    """Return a function for the best-buddy loss and its gradient, with whole tables of distances where `other`."""
    gt = crop_photographs(size, batch).to(device)
    loss = best_buddy_whole if other else best_buddy_loss
    return partial(_value_and_gradient, lambda image: loss(image, gt), enlarge_again(gt))


def best_buddy_whole(sr: Tensor, gt: Tensor) -> Tensor:
    """Return the best-buddy loss of images (B, 3, H, W), holding both tables of distances of the whole batch."""
    smaller = [F.interpolate(gt, scale_factor=scale, mode="bicubic", align_corners=False) for scale in (0.5, 0.25)]
    patches, aligned, *others = [F.unfold(images, 3, stride=3).transpose(1, 2) for images in (sr, gt, *smaller)]
    candidates = torch.cat([aligned, *others], 1)
    with torch.no_grad():
        chosen = (_distances(patches, candidates) + _distances(aligned, candidates)).argmin(2, keepdim=True)
    return F.l1_loss(patches, candidates.gather(1, chosen.expand(-1, -1, candidates.shape[2])))


def _distances(patches: Tensor, candidates: Tensor) -> Tensor:
    squares = patches.square().sum(2, keepdim=True) + candidates.square().sum(2)[:, None]
    return torch.baddbmm(squares, patches, candidates.mT, alpha=-2).clamp(0)


# ------------------------------------------------------------------------------------------------------ networks


def build_elan(device: torch.device, size: int, batch: int, trains: bool, other: bool) -> Run:
    """Return a function for ELAN's L1 loss at full size, its attention plain where `other`; with gradient or without.

    Plain attention holds the table q q^T.
    """
    torch.manual_seed(0)
    gt = crop_photographs(size, batch).to(device)
    lq, net = shrink(gt), ELAN().to(device)

    def run() -> Tensor:
        with sdpa_kernel(SDPBackend.MATH) if other else nullcontext(), torch.set_grad_enabled(trains):
            loss = F.l1_loss(net(lq), gt)
        if trains:
            loss.backward()
            net.zero_grad()
        return loss.detach()

    return run


def build_sfd(device: torch.device, size: int, batch: int, other: bool) -> Run:
    """Return a training step of options/sfd: SFD's, or with the vanilla U-Net discriminator where `other`.

    The networks are the file's, with random weights, CLIP too; the VGG loss, which needs a download and is the same in
    both, is left out. On a CPU the generator is a small RRDBNet, so that the discriminators weigh more, not less.
    """
    opt: dict[str, Any] = load_options(OPTIONS / "sfd" / ("vanilla_x4.yml" if other else "rrdb_sfd_x4.yml"))
    for name in ("l_g_percep", "l_percep"):
        opt["train"]["losses"].pop(name, None)
    if other:
        opt["network_d"] = {"type": "UNetDiscriminatorSN", "num_in_ch": 3, "num_feat": 64}
    else:
        opt["clip"]["pretrained"] = None
    if device.type == "cpu":
        opt["network_g"] |= {"num_feat": 32, "num_block": 2, "num_grow_ch": 16}
    model = build_training(opt, device)
    gt = crop_photographs(size, batch).contiguous()
    model.feed_data({"gt": gt, "lq": shrink(gt)})
    return partial(model.optimize_parameters, 1)


def _list_elan_cases(args: argparse.Namespace) -> Iterable[tuple[dict[str, Any], bool]]:
    return [
        ({"trains": trains, "size": args.size, "batch": args.batch if trains else 1}, False) for trains in (True, False)
    ]


PAIRS = {
    "self-similarity": Pair(("loss", "reference"), build_ssl, list_ssl_cases, 1e-5),
    "best-buddy": Pair(("loss", "whole tables"), build_best_buddy, lambda args: [(BUDDIES, False)], 1e-6),
    "elan": Pair(("fused", "plain"), build_elan, _list_elan_cases, 1e-4),
    "sfd": Pair(
        ("SFD", "vanilla U-Net"),
        build_sfd,
        lambda args: [({"size": 256, "batch": 8 if torch.cuda.is_available() else 1}, False)],
    ),
}
"""Name of a benchmark -> what it compares."""
