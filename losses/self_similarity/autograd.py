"""Self-similarity in autograd's terms: the fused loss, and the graph's logarithms as a differentiable tensor.

The sweep works unit by unit, so that memory does not grow with the batch; the loss makes its gradient along with its
value. On a GPU Triton's kernels make the loss.

Paper: SSL, eq. 2 and 4.
"""

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from prismsr.losses.self_similarity.sweep import EPS, Setting, Sweep
from prismsr.losses.self_similarity.tiles import Tiling, Unit
from prismsr.losses.self_similarity.triton_loss import takes_triton, try_kernels

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def compare_graphs(tables: list[Tensor], setting: Setting, want_grad: bool) -> Tensor:
    """Sum over all entries of the KL and L1 terms of two graphs, and its gradient if wanted.

    It is the sum of kl_weight * t (log t - log s) + alpha |s - t|, a float64 scalar; logarithms are clamped at
    log(EPS). Of four tables (K, N) the first two hold the logarithms of the similarities of SR and of GT before
    normalisation, the others nothing; all are overwritten, the first with the result's gradient.
    """
    for log_similarity, similarity in zip(tables, tables[2:], strict=False):
        torch.exp(log_similarity, out=similarity)  # at once, as torch gives even short exponentials to all threads
    lines = max(1, setting.limits.work // tables[0].shape[1])
    log_sr, log_gt, sr, gt = (table.split(lines) for table in tables)
    norm_sr, norm_gt = _sum_of_lines(sr).add_(EPS), _sum_of_lines(gt).add_(EPS)
    log_norm_sr, log_norm_gt, least = norm_sr.log(), norm_gt.log(), math.log(EPS)
    total, drift = torch.zeros_like(norm_sr), torch.zeros_like(norm_sr)
    for log_s, log_t, s, t in zip(log_sr, log_gt, sr, gt, strict=True):
        difference = s.div_(norm_sr) - t.div_(norm_gt)
        log_s.sub_(log_norm_sr).clamp_min_(least)
        log_t.sub_(log_norm_gt).clamp_min_(least)
        t.clamp_min_(EPS)
        total.add_(log_t.sub_(log_s).mul_(t).sum(0), alpha=setting.kl_weight)
        total.add_(difference.abs().sum(0), alpha=setting.alpha)
        if want_grad:  # as if the row's sum were fixed; `drift` makes up for that
            unclamped = log_s.sub_(least).sign_()
            torch.mul(difference.sign_(), s, out=log_t).mul_(setting.alpha)
            log_t.sub_(t.mul_(unclamped), alpha=setting.kl_weight)
            drift += log_t.sum(0)
    if want_grad:
        for out, fixed, s in zip(log_sr, log_gt, sr, strict=True):
            torch.addcmul(fixed, s, drift, value=-1, out=out)
    return total.sum(dtype=torch.float64)


def _sum_of_lines(table: Sequence[Tensor]) -> Tensor:
    total = torch.zeros_like(table[0][0])
    for lines in table:
        total += lines.sum(0)
    return total


@lru_cache(maxsize=4)
def _idle_sweep(key: tuple[Any, ...]) -> deque[Sweep]:
    """Return room for one sweep that waits to be used again: its views take time to make, its buffers little memory."""
    return deque(maxlen=1)


class Job:
    """A batch cut into units; sweeps and tables for one unit after the other.

    Args:
        images: (B, C, H, W).
        mask: (B, 1, H, W) bool.
        setting: of the evaluation.
    """

    def __init__(self, images: Tensor, mask: Tensor, setting: Setting) -> None:
        self.setting, self.images = setting, images
        self.tiling = Tiling(setting.plan, images.shape[2], images.shape[3], setting.limits.area)
        self.pixels = self.tiling.pixels(mask)
        self.units = list(self.tiling.units(self.pixels, len(mask), setting.limits))

    @contextmanager
    def sweep(self, unit: Unit) -> Iterator[Sweep]:
        """Lend a sweep of the unit's layout; on a CPU one that was used before, where it is free."""
        limits, layout, like = self.setting.limits, unit.layout, self.images
        key = (layout.plan, limits, layout.count, layout.height, layout.width, like.shape[1], like.dtype)
        idle = _idle_sweep(key)
        try:
            sweep = idle.pop()
        except IndexError:
            sweep = Sweep(layout, like.shape[1], limits, like)
        yield sweep
        if like.device.type == "cpu":
            idle.append(sweep)

    def tables(self, count: int) -> Iterator[tuple[Unit, list[Tensor]]]:
        """Yield the units, each with `count` tables (K, N) to write to, in the memory of the last unit's tables."""
        entries = max((len(unit.pixels) for unit in self.units), default=0) * self.setting.plan.neighbours
        memory = [self.images.new_empty(entries) for _ in range(count)]
        for unit in self.units:
            shape = self.setting.plan.neighbours, len(unit.pixels)
            yield unit, [values[: shape[0] * shape[1]].view(shape) for values in memory]

    def add_up(self, canvas: Tensor, unit: Unit, parts: Tensor) -> None:
        """Add a unit's tiles to a canvas."""
        tiles = self.tiling.tiles(canvas)
        for place, part in zip(unit.tiles, parts, strict=True):
            for channel, values in zip(tiles[place], part, strict=True):
                channel.add_(values)


def ordinary_tensors(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Let a function make tensors without gradient that training may write to, even when called in inference mode."""
    return torch.inference_mode(False)(torch.no_grad()(function))


def compare_by_sweep(
    sr: Tensor, gt: Tensor, mask: Tensor, setting: Setting, want_grad: bool
) -> tuple[Tensor, Tensor | None]:
    """Return the loss of `FusedLoss`, float64, and its gradient with respect to `sr` where it is wanted."""
    job = Job(sr, mask, setting)
    canvas = job.tiling.canvas(sr)
    tiles_sr, tiles_gt = job.tiling.tiles(canvas), job.tiling.tiles(job.tiling.canvas(gt))
    total = torch.zeros((), dtype=torch.float64, device=sr.device)
    grad = torch.zeros_like(canvas) if want_grad else None
    for unit, tables in job.tables(4):
        with job.sweep(unit) as sweep:
            for image, tiles, table in zip((sweep.sr, sweep.gt), (tiles_sr, tiles_gt), tables, strict=False):
                image.load(unit.take(tiles), setting.h)
                sweep.log_similarity(unit.pixels, image, table)
            total += compare_graphs(tables, setting, want_grad)
            if grad is not None:
                job.add_up(grad, unit, sweep.gradient(unit.pixels, tables[0]))
    entries = max(1, len(job.pixels[0])) * setting.plan.neighbours
    return total.div_(entries), None if grad is None else job.tiling.images(grad).div_(entries)


class FusedLoss(torch.autograd.Function):
    """Mean over the N * K entries of the batch's graphs, from images (B, C, H, W) and a bool mask (B, 1, H, W)."""

    @staticmethod
    @ordinary_tensors
    def forward(ctx: Any, sr: Tensor, gt: Tensor, mask: Tensor, setting: Setting, want_grad: bool) -> Tensor:
        """Return value and, where wanted, gradient of the loss."""
        made = try_kernels(sr, gt, mask, setting, want_grad) if takes_triton(sr, setting) else None
        value, grad = made or compare_by_sweep(sr, gt, mask, setting, want_grad)
        if grad is not None:
            ctx.save_for_backward(grad)
        return value.to(sr.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor | None, ...]:
        """Return gradient of `sr` alone."""
        (grad,) = ctx.saved_tensors
        return grad * grad_output, None, None, None, None


class LogSimilarity(torch.autograd.Function):
    """(N, K) logarithms of the similarities before normalisation; pixels and offsets in row-major order."""

    @staticmethod
    @ordinary_tensors
    def forward(ctx: Any, images: Tensor, mask: Tensor, setting: Setting) -> Tensor:
        """Return images (B, C, H, W), bool mask (B, 1, H, W)."""
        job = Job(images, mask, setting)
        tiles = job.tiling.tiles(job.tiling.canvas(images))
        ranks = _ranks(job)
        graph = images.new_empty(len(ranks), setting.plan.neighbours)
        for unit, (table,) in job.tables(1):
            with job.sweep(unit) as sweep:
                sweep.sr.load(unit.take(tiles), setting.h)
                sweep.log_similarity(unit.pixels, sweep.sr, table)
                graph[ranks[unit.members]] = table[setting.plan.row_major(sweep.blocks)].T
        ctx.job = job
        ctx.save_for_backward(images, ranks)
        return graph

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor | None, ...]:
        """Return gradient of the images."""
        images, ranks = ctx.saved_tensors
        job: Job = ctx.job
        canvas = job.tiling.canvas(images)
        tiles = job.tiling.tiles(canvas)
        grad = torch.zeros_like(canvas)
        for unit, (table,) in job.tables(1):
            with job.sweep(unit) as sweep:
                sweep.sr.load(unit.take(tiles), job.setting.h)
                table[job.setting.plan.row_major(sweep.blocks)] = grad_output[ranks[unit.members]].T
                job.add_up(grad, unit, sweep.gradient(unit.pixels, table))
        return job.tiling.images(grad), None, None


def _ranks(job: Job) -> Tensor:
    """Return (N,) place of each mask pixel (in the order of `Tiling.pixels`) in the row-major order of the batch."""
    tiling = job.tiling
    image, row, column, y, x = job.pixels
    height, width = tiling.rows * tiling.height, tiling.columns * tiling.width
    order = ((image * height + row * tiling.height + y) * width + column * tiling.width + x).argsort()
    ranks = torch.empty_like(order)
    ranks[order] = torch.arange(len(order), device=order.device)
    return ranks
