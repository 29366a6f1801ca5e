"""What the arguments of inference may be, and are by default; nothing is imported, so that --help is quick."""

TILE, OVERLAP = 384, 32
"""Side of the tiles in input pixels, and what neighbours share."""
PRECISIONS = ("fp32", "fp16", "bf16")
EXTENSIONS = ("auto", "same", "png", "jpg", "jpeg", "bmp", "tif", "tiff", "webp")


def fit_overlap(tile: int, window: int = 1) -> int:
    """Return the default overlap of tiles of this side: OVERLAP, or what a small tile on a network's grid can share.

    Example:
        >>> fit_overlap(384), fit_overlap(16), fit_overlap(16, 8), fit_overlap(8, 8), fit_overlap(0)
        (32, 8, 8, 0, 0)
    """
    return max(0, min(OVERLAP, tile // 2, tile - window))
