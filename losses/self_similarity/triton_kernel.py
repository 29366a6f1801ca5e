"""Kernels of the self-similarity loss for a GPU: the row of the graph of a mask pixel stays in registers.

`compare_graphs` makes of every mask pixel its value and its gradient on the patch around it; `gather_patches` adds the
patches up, pixel by pixel in one order, so that no addition is atomic and equal runs give equal bits.

Paper: SSL, eq. 1, 2 and 4.
"""
# ruff: noqa: RUF005 - Triton knows no starred expressions

from prismsr.losses.self_similarity.triton_parts import (
    GROUPS,
    centre_gradient,
    log_similarities,
    normalise,
    patch_gradient,
)

import triton
import triton.language as tl

COUNTS = ["start", "most", "pixels", "height"]
"""Arguments for whose values no kernel of their own is compiled."""


@triton.jit(do_not_specialize=COUNTS)
def compare_graphs(
    sr,
    gt,
    places,
    before,
    values,
    patches,
    scratch,
    start,
    most,
    pixels,
    height,
    width: tl.constexpr,
    channels: tl.constexpr,
    search: tl.constexpr,
    window: tl.constexpr,
    stride: tl.constexpr,
    low: tl.constexpr,
    alpha: tl.constexpr,
    kl_weight: tl.constexpr,
    eps: tl.constexpr,
    least: tl.constexpr,
    want_grad: tl.constexpr,
    step_columns: tl.constexpr,
    search_columns: tl.constexpr,
    side_columns: tl.constexpr,
):
    """Write value and patch of the mask pixels from number `start` on, `most` at most; a program takes every n-th.

    Args:
        sr, gt: (B, channels, height + side - 1, width + side - 1), scaled and with a mirrored halo.
        places: positions of the mask pixels in (B, height, width), flat.
        before: for each position, and for the end, the number of mask pixels before it.
        values: one for each mask pixel.
        patches: (most, channels, side, side), gradient of sr around each mask pixel from number `start` on.
        scratch: zeros, search^2 + channels * window^2 for each program.
        start, most, pixels, height, width: see above; pixels is B * height * width.
        channels, search, window, stride: of the images and the loss.
        low: where windows may begin to read in the search area: 0, or outside at -(window // 2).
        alpha, kl_weight, eps, least: of the loss.
        want_grad: without it no patches are written.
        step_columns, search_columns, side_columns: powers of 2 that hold the columns of graph, search area and patch.
    """
    kind: tl.constexpr = sr.dtype.element_ty
    side: tl.constexpr = search - 2 * low
    reach: tl.constexpr = search // 2 // stride
    steps: tl.constexpr = 2 * reach + 1
    rows: tl.constexpr = (steps + GROUPS - 1) // GROUPS
    outer: tl.constexpr = width + side - 1
    plane = (height + side - 1) * outer
    table = scratch + tl.program_id(0) * (search * search + channels * window * window)
    middle = table + search * search
    stop = tl.minimum(start + most, tl.load(before + pixels))
    for number in range(start + tl.program_id(0), stop, tl.num_programs(0)):
        place = tl.load(places + number).to(tl.int64)
        row_of_batch = place // width
        corner = (row_of_batch // height * channels) * plane + row_of_batch % height * outer + place % width
        corner -= low * (outer + 1)
        log_s = log_similarities(sr + corner, plane, outer, channels, search, window, stride, low, rows, step_columns)
        log_t = log_similarities(gt + corner, plane, outer, channels, search, window, stride, low, rows, step_columns)
        row = tl.arange(0, GROUPS)[:, None] * rows
        column = tl.arange(0, step_columns)[None, :]
        known = ()
        for r in tl.static_range(rows):
            known = known + ((row + r < steps) & (column < steps),)
        log_s = normalise(log_s, known, rows, eps)
        log_t = normalise(log_t, known, rows, eps)
        value = tl.zeros([GROUPS, step_columns], kind)
        drift = tl.zeros([GROUPS, step_columns], kind)
        fixed = ()
        for r in tl.static_range(rows):
            s = tl.exp(log_s[r])
            t = tl.exp(log_t[r])
            clamped = tl.maximum(t, eps)
            divergence = clamped * (tl.maximum(log_t[r], least) - tl.maximum(log_s[r], least))
            value += tl.where(known[r], kl_weight * divergence + alpha * tl.abs(s - t), 0.0)
            sign = tl.where(s > t, 1.0, tl.where(s < t, -1.0, 0.0))
            grad = tl.where(known[r], alpha * (sign * s) - tl.where(log_s[r] > least, kl_weight * clamped, 0.0), 0.0)
            drift += grad
            fixed = fixed + (grad,)
        tl.store(values + number, tl.sum(value))
        if want_grad:
            shift = tl.sum(drift)
            weight = tl.zeros([GROUPS, step_columns], kind)
            tl.debug_barrier()  # the last pixel's table is read
            for r in tl.static_range(rows):
                grad = tl.where(known[r], fixed[r] - tl.exp(log_s[r]) * shift, 0.0)
                weight += grad
                place_of_row = ((row + r) * stride + search // 2 % stride) * search
                tl.store(table + place_of_row + column * stride + search // 2 % stride, grad, mask=known[r])
            tl.debug_barrier()
            centre_gradient(
                sr + corner,
                table,
                middle,
                plane,
                outer,
                channels,
                search,
                window,
                low,
                (search + GROUPS - 1) // GROUPS,
                search_columns,
            )
            tl.debug_barrier()
            patch_gradient(
                sr + corner,
                table,
                middle,
                patches + (number - start).to(tl.int64) * (channels * side * side),
                tl.sum(weight),
                plane,
                outer,
                channels,
                search,
                window,
                low,
                (side + GROUPS - 1) // GROUPS,
                side_columns,
            )


@triton.jit(do_not_specialize=COUNTS)
def gather_patches(
    patches,
    places,
    before,
    grad,
    start,
    most,
    pixels,
    height,
    width: tl.constexpr,
    channels: tl.constexpr,
    side: tl.constexpr,
    columns: tl.constexpr,
):
    """Add patches to grad (B, channels, height + side - 1, width + side - 1), `columns` of a row in a program.

    The rest is as in `compare_graphs`. Every pixel adds its patches in the order of their numbers.
    """
    outer: tl.constexpr = width + side - 1
    row = tl.program_id(0) % (height + side - 1)
    image = tl.program_id(0) // (height + side - 1)
    left = tl.program_id(1) * columns
    column = left + tl.arange(0, columns)
    stop = tl.minimum(start + most, tl.load(before + pixels))
    place = grad + (image * channels * (height + side - 1) + row).to(tl.int64) * outer + column
    plane = (height + side - 1) * outer
    total = ()
    for channel in tl.static_range(channels):
        total = total + (tl.load(place + channel * plane, mask=column < outer, other=0.0),)
    found = 0
    for line_of_image in range(tl.maximum(row - side + 1, 0), tl.minimum(row + 1, height)):
        line = (image * height + line_of_image) * width
        first = tl.maximum(tl.load(before + line + tl.minimum(tl.maximum(left - side + 1, 0), width)), start)
        last = tl.minimum(tl.load(before + line + tl.minimum(left + columns, width)), stop)
        found += tl.maximum(last - first, 0)
        for number in range(first, last):
            x = column - (tl.load(places + number) - line)
            inside = (x >= 0) & (x < side)
            patch = (
                patches + (number - start).to(tl.int64) * (channels * side * side) + (row - line_of_image) * side + x
            )
            more = ()
            for channel in tl.static_range(channels):
                more = more + (total[channel] + tl.load(patch + channel * side * side, mask=inside, other=0.0),)
            total = more
    if found > 0:
        for channel in tl.static_range(channels):
            tl.store(place + channel * plane, total[channel], mask=column < outer)
