"""Make edge masks of HR images, where the self-similarity loss is evaluated, see prismsr.losses.edges.

Paper: SSL, eq. 3.
"""

import argparse
import io
from pathlib import Path
from typing import Any

from prismsr.data.prepare.common import add_folder_arguments, find_inputs, print_result, run_step
from prismsr.utils.files import atomic_write
from prismsr.utils.images import MAT_KEY, decode_mask, encode_png, read_bytes, read_image

import cv2
import numpy as np
from numpy.typing import NDArray


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line of the step."""
    add_folder_arguments(parser)
    parser.add_argument(
        "--threshold",
        type=float,
        default=20.0,
        help="an edge pixel has a Laplacian strictly above it, in grey levels of 0..255 (default: %(default)s)",
    )
    parser.add_argument(
        "--absolute", action="store_true", help="mark both sides of an edge; the SSL release marks the darker one"
    )
    parser.add_argument(
        "--mat",
        action="store_true",
        help="write the SSL release's tree: the PNG files in OUTPUT/png, and compressed .mat files in OUTPUT/mat",
    )


def run(args: argparse.Namespace) -> int:
    """Write a mask of the same name for each image, and print the fraction of edge pixels."""
    images = find_inputs(args.input, args.output)
    options = {"threshold": args.threshold, "absolute": args.absolute, "mat": args.mat}
    results, skipped = run_step(args, "edges", images, write_mask, options)
    edges, pixels = sum(result[1] for result in results), sum(result[2] for result in results)
    note = f", {edges / max(pixels, 1):.2%} of the pixels are edges"
    print_result("edges", args.output, [result[0] for result in results], skipped, note)
    return 0


def write_mask(path: Path, key: str, output: Path, threshold: float, absolute: bool, mat: bool) -> tuple[int, int, int]:
    """Write those files of an image's mask that do not exist yet: 8-bit PNG of 0 and 255, and .mat where asked for.

    Return the numbers of files written, of edge pixels, and of pixels.
    """
    png = output / "png" / f"{key}.png" if mat else output / f"{key}.png"
    targets = [png, output / "mat" / f"{key}.mat"] if mat else [png]
    missing = [target for target in targets if not target.exists()]
    mask = make_mask(read_image(path), threshold, absolute) if missing else decode_mask(read_bytes(png), str(png))
    for target in missing:
        atomic_write(target, encode_mat(mask) if target.suffix == ".mat" else encode_png(mask.astype(np.uint8) * 255))
    return len(missing), int(mask.sum()), mask.size


def make_mask(image: NDArray[Any], threshold: float, absolute: bool) -> NDArray[np.bool_]:
    """Return edge mask (H, W) bool of an image as OpenCV reads it; see `prismsr.losses.edges.edge_mask`.

    It is (H, W), (H, W, 3) BGR or (H, W, 4) BGRA; uint8 or uint16.
    """
    from prismsr.losses.edges import edge_mask

    import torch

    conversion = cv2.COLOR_GRAY2RGB if image.ndim == 2 else cv2.COLOR_BGR2RGB
    rgb = cv2.cvtColor(image if image.ndim == 2 else image[..., :3], conversion)
    tensor = torch.from_numpy(rgb.astype(np.float32) / np.iinfo(image.dtype).max).permute(2, 0, 1)[None]
    return edge_mask(tensor, threshold=threshold, absolute=absolute)[0, 0].numpy()


def encode_mat(mask: NDArray[np.bool_]) -> bytes:
    """Return the mask as a compressed MATLAB file, int64 of 0 and 1 under the release's name."""
    from scipy.io import savemat

    file = io.BytesIO()
    savemat(file, {MAT_KEY: mask.astype(np.int64)}, do_compression=True)
    return file.getvalue()
