"""What the arguments of inference may be, and are by default; nothing is imported, so that --help is quick."""

TILE, OVERLAP = 384, 32
"""Side of the tiles in input pixels, and what neighbours share."""
PRECISIONS = ("fp32", "fp16", "bf16")
EXTENSIONS = ("auto", "same", "png", "jpg", "jpeg", "bmp", "tif", "tiff", "webp")
