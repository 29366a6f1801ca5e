"""What an evaluation of the self-similarity loss needs besides images and mask."""

from typing import NamedTuple

from prismsr.losses.self_similarity.plan import SearchPlan
from prismsr.losses.self_similarity.sweep import Limits

EPS = 1e-10
"""Added to the sum of a row of the graph, and the least value that a logarithm sees."""


class Setting(NamedTuple):
    """Limits, and arguments of `self_similarity_loss`; the mask holds no pixel that `mask_stride` leaves out."""

    plan: SearchPlan
    limits: Limits
    h: float
    alpha: float = 1.0
    kl_weight: float = 1.0
    mask_stride: int = 1
