"""Losses and metrics as functions of tensors and arrays; importing them takes torch and numpy alone.

    from prismsr.functional import edge_mask, self_similarity_loss

Python imports prismsr first: it registers everything where BasicSR is installed, and nothing where it is not. The
modules below import no package but torch and numpy. Losses in them take their registry from prismsr.utils.registry,
which does without BasicSR. `planes`, `psnr` and `ssim` import OpenCV when they are called.
"""

from prismsr.losses.back_projection_loss import back_projection_loss
from prismsr.losses.best_buddy_loss import best_buddy_loss
from prismsr.losses.dpacm_distances import distribution_distance, feature_distance, lpips_distance
from prismsr.losses.edges import edge_mask, luma_8bit
from prismsr.losses.gradient_loss import gradient_loss, gradient_map
from prismsr.losses.ldl_loss import ldl_loss, ldl_map
from prismsr.losses.negative_loss import artefact_weight, local_variance, negative_loss, negative_map
from prismsr.losses.psnr_loss import psnr_loss
from prismsr.losses.self_similarity.self_similarity_loss import self_similarity_graph, self_similarity_loss
from prismsr.losses.views import flat_mask
from prismsr.metrics.psnr_ssim import planes, psnr, ssim

__all__ = [
    "artefact_weight",
    "back_projection_loss",
    "best_buddy_loss",
    "distribution_distance",
    "edge_mask",
    "feature_distance",
    "flat_mask",
    "gradient_loss",
    "gradient_map",
    "ldl_loss",
    "ldl_map",
    "local_variance",
    "lpips_distance",
    "luma_8bit",
    "negative_loss",
    "negative_map",
    "planes",
    "psnr",
    "psnr_loss",
    "self_similarity_graph",
    "self_similarity_loss",
    "ssim",
]
