"""The local-global attention module of LGCAA (arXiv 2510.13649, sec. III-B), in plain torch.

The paper leaves several points open; what is our reconstruction is marked so here and listed in docs/papers/lgcaa.md.

Paper: LGCAA, sec. III-B.
"""

import math
from typing import Literal

from prismsr.archs.lgcaa.options import LgcaaOptions

import torch
from torch import Tensor, nn
from torch.nn import functional as F

QKNorm = Literal["l2", "rms", "none"]
EPS = 1e-6
MAX_TEMPERATURE = 100.0


def split_heads(x: Tensor, heads: int) -> Tensor:
    """Map (B, N, C) to (B, heads, N, C / heads)."""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def merge_heads(x: Tensor) -> Tensor:
    """Map (B, heads, N, d) to (B, N, heads * d)."""
    return x.transpose(1, 2).flatten(2)


def normalise(x: Tensor, kind: QKNorm, eps: float = EPS) -> Tensor:
    """Return q or K (..., d) normalised over d, in at least float32.

    "l2" is the paper's x / max(|x|, eps), its bars read as the length of a head's vector: read element by element it is
    the sign, without a gradient. "rms" divides by the root mean square instead, so that the length is sqrt(d). A
    learned temperature takes that factor in: "rms" then is "l2" again, but for the temperature's bound.
    """
    x = x.to(torch.promote_types(x.dtype, torch.float32))
    if kind == "l2":
        return F.normalize(x, dim=-1, eps=eps)
    return x if kind == "none" else x * torch.rsqrt(x.square().mean(-1, keepdim=True) + eps)


def attention(q: Tensor, k: Tensor, v: Tensor, scale: float, mask: Tensor | None = None) -> Tensor:
    """Return softmax(scale * Q K^T) V for (B, heads, N, d), without an N x N matrix in memory."""
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=scale)


def cosine_attention(
    q: Tensor, k: Tensor, v: Tensor, kind: QKNorm, temperature: Tensor | None = None, mask: Tensor | None = None
) -> Tensor:
    """Return the local attention: softmax(s * norm(Q) norm(K)^T) V, V as it is, (B, heads, N, d) in its type.

    s is the temperature, one per head; None for the printed 1 / sqrt(d). The mask is True where a query may look,
    broadcast to (B, heads, N, N); None for everywhere.
    """
    q, k = normalise(q, kind), normalise(k, kind)
    if temperature is not None:
        q = q * temperature.view(-1, 1, 1)
    scale = q.shape[-1] ** -0.5 if temperature is None else 1.0
    return attention(q.to(v.dtype), k.to(v.dtype), v, scale, mask)


class LocalAttention(nn.Module):
    """Proj_in, normalised attention, Proj_out of sec. III-B: (B, N, C) to (B, N, C), heads of d = C / heads.

    As printed it reaches over all N tokens, so that "local" is the paper's word; `local_window` is our option for
    windows that do not overlap. Of the options qk_norm, temperature and local_window count.
    """

    size: tuple[int, int] | None = None
    """Rows and columns of the tokens, which windows need; the carrier sets it."""

    def __init__(self, channels: int, heads: int, options: LgcaaOptions) -> None:
        super().__init__()
        self.heads, self.kind, self.window = heads, options.qk_norm, options.local_window
        self.to_q, self.to_k, self.to_v = (nn.Linear(channels, channels, bias=False) for _ in range(3))
        self.to_out = nn.Linear(channels, channels)
        self.log_temperature = None
        if options.temperature == "learned":
            # what plain attention has for its scale, or for unit vectors, where that leaves all weights equal, sqrt(d)
            start = (channels // heads) ** (0.5 if self.kind == "l2" else -0.5)
            self.log_temperature = nn.Parameter(torch.full((heads,), math.log(start)))

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens (B, N, C) to (B, N, C)."""
        if self.window is None:
            return self.to_out(self._attend(x))
        if self.size is None or math.prod(self.size) != x.shape[1]:
            raise ValueError(
                f"local_window needs the tokens' rows and columns; {self.size} are not {x.shape[1]} tokens."
            )
        windows, real = to_windows(x, self.size, self.window)
        mask = real.repeat(len(x), 1)[:, None, None, :] if not bool(real.all()) else None
        return self.to_out(from_windows(self._attend(windows, mask), self.size, self.window))

    def temperature(self) -> Tensor | None:
        """Return factor of the logits per head, at most 100; None for the printed 1 / sqrt(d)."""
        return None if self.log_temperature is None else self.log_temperature.exp().clamp(max=MAX_TEMPERATURE)

    def _attend(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        q, k, v = (split_heads(project(x), self.heads) for project in (self.to_q, self.to_k, self.to_v))
        return merge_heads(cosine_attention(q, k, v, self.kind, self.temperature(), mask))


class GlobalAttention(nn.Module):
    """GA of sec. III-B, which the paper does not define. Our reconstruction: plain multi-head self-attention."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.to_q, self.to_k, self.to_v = (nn.Linear(channels, channels, bias=False) for _ in range(3))
        self.to_out = nn.Linear(channels, channels)
        for project in (self.to_q, self.to_k, self.to_v, self.to_out):
            nn.init.xavier_uniform_(project.weight)
        nn.init.zeros_(self.to_out.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens (B, N, C) to (B, N, C)."""
        q, k, v = (split_heads(project(x), self.heads) for project in (self.to_q, self.to_k, self.to_v))
        return self.to_out(merge_heads(attention(q, k, v, q.shape[-1] ** -0.5)))


class LGCAABranch(nn.Module):
    """MLP(LN3(clamp(GA(u)) [+ u])) with u = LN2(Local(x) [+ x]), sec. III-B; what is in brackets with `residual`.

    x is what the block's own norm1 gives, which is the paper's LN1. Reshaping to (B, C, H, W) and back, as printed,
    changes nothing and is left out. Mode "local" leaves GA and the clamp out, "global" the local attention and LN2; it
    is not "none" here. With combine "stacked" the caller hands over attn1's output instead of Local(x).
    """

    def __init__(self, channels: int, heads: int, options: LgcaaOptions) -> None:
        super().__init__()
        self.residual, self.bound = options.residual, options.clamp
        has_local, has_global = options.mode != "global", options.mode != "local"
        own_local = has_local and options.combine != "stacked"
        self.local = LocalAttention(channels, heads, options) if own_local else None
        self.norm2 = nn.LayerNorm(channels) if has_local else None
        self.globally = GlobalAttention(channels, heads) if has_global else None
        self.norm3 = nn.LayerNorm(channels) if options.merge_norm else nn.Identity()
        hidden = round(options.mlp_ratio * channels)
        last = nn.Linear(hidden, channels)
        if options.combine != "replace":  # a loaded Stable Diffusion starts unchanged
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)
        self.mlp = nn.Sequential(nn.Linear(channels, hidden), nn.GELU(), last)

    def forward(self, x: Tensor, attended: Tensor | None = None) -> Tensor:
        """Map tokens (B, N, C), the output of norm1, to what is added to attn1's output, (B, N, C).

        `attended` is attn1's output, for combine "stacked" alone.
        """
        return self.mlp(self.normalise_for_mlp(x, attended))

    def normalise_for_mlp(self, x: Tensor, attended: Tensor | None = None) -> Tensor:
        """Return what goes into the MLP: the output of the last norm, (B, N, C)."""
        if self.norm2 is not None:
            local = self.local(x) if self.local is not None else attended
            assert local is not None
            x = self.norm2(local + x if self.residual else local)
        if self.globally is not None:
            spread = self.globally(x)
            spread = spread if self.bound is None else spread.clamp(-self.bound, self.bound)
            x = spread + x if self.residual else spread
        return self.norm3(x)


def token_variation(tokens: Tensor) -> float:
    """Return how much tokens (B, N, C) differ: their variance over N by the second moment, 0 for equal ones."""
    tokens = tokens.double()
    return float(tokens.var(1, correction=0).mean() / tokens.square().mean())


def to_windows(x: Tensor, size: tuple[int, int], window: int) -> tuple[Tensor, Tensor]:
    """Cut tokens (B, H * W, C) into windows (B * n, window ** 2, C), the last ones padded.

    Also return which of their tokens are real, bool (n, window ** 2).
    """
    (height, width), batch = size, len(x)
    pad = (0, 0, 0, -width % window, 0, -height % window)
    real = F.pad(x.new_ones(1, height, width, 1), pad)
    grids = F.pad(x.unflatten(1, size), pad), real

    def cut(grid: Tensor) -> Tensor:
        return grid.unflatten(2, (-1, window)).unflatten(1, (-1, window)).transpose(2, 3).flatten(3, 4).flatten(1, 2)

    windows, inside = (cut(grid) for grid in grids)
    return windows.reshape(batch * windows.shape[1], window**2, -1), inside[0, :, :, 0] > 0


def from_windows(windows: Tensor, size: tuple[int, int], window: int) -> Tensor:
    """Return the inverse of to_windows: (B, H * W, C)."""
    height, width = size
    rows, columns = -(-height // window), -(-width // window)
    grid = windows.reshape(-1, rows, columns, window, window, windows.shape[-1]).transpose(2, 3)
    return grid.flatten(3, 4).flatten(1, 2)[:, :height, :width].flatten(1, 2)
