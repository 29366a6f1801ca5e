"""Parts of the kernels of the self-similarity loss: distances, their normalisation, and the gradient of a patch.

A lane holds a column of the search area, or of the patch, and several rows of it below each other, so that what it
loads serves several windows. Coordinates count from the corner of the search area; windows read what lies from `low`
to `search - low`, and 0 elsewhere.

Paper: SSL, eq. 1 and 2.
"""
# ruff: noqa: PLR1716, RUF005 - Triton knows neither chained comparisons nor starred expressions

import triton
import triton.language as tl

GROUPS = tl.constexpr(4)  # lanes below each other, each with its own rows; of 32 columns each is a warp


@triton.jit
def bound_rows(top, count: tl.constexpr, low: tl.constexpr, high: tl.constexpr):
    """Return for each of `count` rows from `top` on whether it may be read."""
    inside = ()
    for y in tl.static_range(count):
        inside = inside + ((top + y >= low) & (top + y < high),)
    return inside


@triton.jit
def zeros(length: tl.constexpr, columns: tl.constexpr, kind: tl.constexpr):
    """Return `length` tensors (GROUPS, columns)."""
    tensors = ()
    for _ in tl.static_range(length):
        tensors = tensors + (tl.zeros([GROUPS, columns], kind),)
    return tensors


@triton.jit
def log_similarities(
    image,
    plane,
    width: tl.constexpr,
    channels: tl.constexpr,
    search: tl.constexpr,
    window: tl.constexpr,
    stride: tl.constexpr,
    low: tl.constexpr,
    rows: tl.constexpr,
    columns: tl.constexpr,
):
    """Return `rows` tensors (GROUPS, columns): in group g the graph's row g * rows + r, logarithms, not normalised."""
    first: tl.constexpr = search // 2 % stride - window // 2
    middle = search // 2 - window // 2
    top = tl.arange(0, GROUPS)[:, None] * (rows * stride) + first
    left = tl.arange(0, columns)[None, :] * stride + first
    total = zeros(rows, columns, image.dtype.element_ty)
    inside = bound_rows(top, stride * (rows - 1) + window, low, search - low)
    for channel in range(channels):
        here = image + channel * plane
        for v in range(window):
            known = (left + v >= low) & (left + v < search - low)
            place = here + top * width + left + v
            central = here + middle * width + middle + v
            centre = ()
            for u in tl.static_range(window):
                centre = centre + (tl.load(central + u * width),)
            for y in tl.static_range(stride * (rows - 1) + window):
                value = tl.load(place + y * width, mask=known & inside[y], other=0.0)
                more = ()
                for r in tl.static_range(rows):
                    distance = total[r]
                    if y >= stride * r and y < stride * r + window:
                        difference = value - centre[y - stride * r]
                        distance += difference * difference
                    more = more + (distance,)
                total = more
    halves = ()
    for r in tl.static_range(rows):
        halves = halves + (total[r] * -0.5,)
    return halves


@triton.jit
def normalise(logs, known, rows: tl.constexpr, eps: tl.constexpr):
    """Return logarithms of rows of sum 1 (eq. 2)."""
    total = tl.where(known[0], tl.exp(logs[0]), 0.0)
    for r in tl.static_range(1, rows):
        total += tl.where(known[r], tl.exp(logs[r]), 0.0)
    log_norm = tl.log(tl.sum(total) + eps)
    normalised = ()
    for r in tl.static_range(rows):
        normalised = normalised + (logs[r] - log_norm,)
    return normalised


@triton.jit
def centre_gradient(
    image,
    table,
    out,
    plane,
    width: tl.constexpr,
    channels: tl.constexpr,
    search: tl.constexpr,
    window: tl.constexpr,
    low: tl.constexpr,
    rows: tl.constexpr,
    columns: tl.constexpr,
):
    """Write the sum over q of table[q] * image[q + w] to out (channels, window, window); a group does a column of w."""
    rim: tl.constexpr = window // 2
    column = tl.arange(0, columns)[None, :]
    for channel in range(channels):
        for v_first in range(0, window, GROUPS):
            v = v_first + tl.arange(0, GROUPS)[:, None]
            seen = column + v - rim
            known = (seen >= low) & (seen < search - low)
            total = zeros(window, columns, image.dtype.element_ty)
            for block in range(0, search, rows):
                grads = ()
                for r in tl.static_range(rows):
                    known_grad = (column < search) & (block + r < search)
                    grads = grads + (tl.load(table + block * search + column + r * search, mask=known_grad, other=0.0),)
                here = image + channel * plane + (block - rim) * width + seen
                for y in tl.static_range(rows + window - 1):
                    row = block + y - rim
                    value = tl.load(here + y * width, mask=known & (row >= low) & (row < search - low), other=0.0)
                    more = ()
                    for u in tl.static_range(window):
                        term = total[u]
                        if u <= y and y < u + rows:
                            term += grads[y - u] * value
                        more = more + (term,)
                    total = more
            for u in tl.static_range(window):
                summed = tl.sum(total[u], axis=1, keep_dims=True)
                tl.store(out + (channel * window + u) * window + v, summed, mask=v < window)


@triton.jit
def patch_gradient(
    image,
    table,
    middle,
    out,
    weight,
    plane,
    width: tl.constexpr,
    channels: tl.constexpr,
    search: tl.constexpr,
    window: tl.constexpr,
    low: tl.constexpr,
    rows: tl.constexpr,
    columns: tl.constexpr,
):
    """Write the gradient of the patch to out (channels, side, side), what `centre_gradient` wrote to `middle` with it.

    Table has the gradient of the logarithms, `weight` is its sum.
    """
    rim: tl.constexpr = window // 2
    side: tl.constexpr = search - 2 * low
    inner: tl.constexpr = search // 2 - rim
    top = tl.arange(0, GROUPS)[:, None] * rows + low
    column = tl.arange(0, columns)[None, :] + low
    inside = bound_rows(top - rim, rows + window - 1, 0, search)
    for channel in range(channels):
        place = image + channel * plane + top * width + column
        values = ()
        for r in tl.static_range(rows):
            within = (top + r < search - low) & (column < search - low)
            values = values + (tl.load(place + r * width, mask=within, other=0.0),)
        total = zeros(rows, columns, image.dtype.element_ty)
        for v in range(window):
            central = image + channel * plane + inner * width + inner + v
            centre = ()
            for u in tl.static_range(window):
                centre = centre + (tl.load(central + u * width),)
            source = column - v + rim
            known = (source >= 0) & (source < search)
            place = table + (top - rim) * search + source
            for y in tl.static_range(rows + window - 1):
                grad = tl.load(place + y * search, mask=known & inside[y], other=0.0)
                more = ()
                for r in tl.static_range(rows):
                    term = total[r]
                    if r <= y and y < r + window:
                        term += grad * (centre[r + window - 1 - y] - values[r])
                    more = more + (term,)
                total = more
        for r in tl.static_range(rows):
            row = top + r - low
            u = top + r - inner
            v = column - inner
            central = (u >= 0) & (u < window) & (v >= 0) & (v < window)
            grad = total[r] + tl.load(middle + (channel * window + u) * window + v, mask=central, other=0.0)
            grad -= tl.where(central, values[r] * weight, 0.0)
            tl.store(
                out + (channel * side + row) * side + column - low, grad, mask=(row < side) & (column < search - low)
            )
