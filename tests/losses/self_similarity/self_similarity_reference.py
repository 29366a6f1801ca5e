"""The self-similarity graph and loss written the way the formulas read: unfolded windows, differentiated by autograd.

Independent of the implementation and in the style of the authors' PyTorch release (all search areas of an image are
unfolded, the mask pixels gathered, every window of their search areas unfolded). Tests and tools/benchmark.py compare
against it.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

EPS = 1e-10


def reference_graph(
    image: Tensor,
    mask: Tensor,
    search: int = 25,
    window: int = 9,
    h: float = 0.004,
    stride: int = 1,
    border: str = "zero",
) -> Tensor:
    """Self-similarity graph of one image: (1, C, H, W) and bool (1, 1, H, W) -> (N, K), rows of sum 1."""
    channels, height, width = image.shape[1:]
    radius, rim = search // 2, window // 2
    halo = radius + (rim if border == "image" else 0)
    side = 2 * halo + 1
    padded = F.pad(image, (halo, halo, halo, halo), mode="reflect")
    areas = F.unfold(padded, side).view(channels, side, side, height * width)
    areas = areas[..., mask.flatten()].permute(3, 0, 1, 2)  # (N, C, side, side)
    windows = F.unfold(areas, window, padding=0 if border == "image" else rim)  # (N, C * window^2, search^2)
    centre = windows[:, :, search * search // 2, None]
    kept = torch.arange(search) - radius
    kept = ((kept[:, None] % stride == 0) & (kept[None, :] % stride == 0)).flatten()
    distance = ((windows[:, :, kept] if stride > 1 else windows) - centre).square().sum(dim=1)
    similarity = torch.exp(-distance / (channels * window * window) / h)
    return similarity / (similarity.sum(dim=1, keepdim=True) + EPS)


def reference_loss(
    sr: Tensor,
    gt: Tensor,
    mask: Tensor,
    alpha: float = 1.0,
    kl_weight: float = 1.0,
    mask_stride: int = 1,
    **graph: object,
) -> Tensor:
    """KL divergence plus alpha times L1 of the graphs of a batch, each a mean over N * K entries."""
    if mask_stride > 1:
        rows, columns = torch.arange(sr.shape[2])[:, None], torch.arange(sr.shape[3])[None, :]
        mask = mask & (rows % mask_stride == columns % mask_stride).to(mask.device)
    graphs_sr, graphs_gt = [], []
    for i in range(len(sr)):
        if mask[i].any():
            graphs_sr.append(reference_graph(sr[i : i + 1], mask[i : i + 1], **graph))  # type: ignore[arg-type]
            graphs_gt.append(reference_graph(gt[i : i + 1], mask[i : i + 1], **graph))  # type: ignore[arg-type]
    if not graphs_sr:
        return sr.sum() * 0
    s_sr, s_gt = torch.cat(graphs_sr), torch.cat(graphs_gt)
    divergence = F.kl_div(s_sr.clamp(min=EPS).log(), s_gt.clamp(min=EPS), reduction="none")
    return kl_weight * divergence.mean() + alpha * F.l1_loss(s_sr, s_gt)
