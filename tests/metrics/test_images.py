"""Reading of images for evaluation and training: as they are seen, and as BasicSR reads them."""

from prismsr.metrics.images import read_bgr
from prismsr.metrics.psnr_ssim import psnr

import cv2
import numpy as np
import pytest
from basicsr.data import build_dataset
from PIL import Image, ImageOps

TURNED = 6
ORIENTATION = 274


@pytest.fixture
def photographs(photograph, tmp_path):
    """gt/0.jpg, stored sideways; sr/0.png, the same pixels upright; lq/0.jpg, sideways, a quarter of it."""
    exif = Image.Exif()
    exif[ORIENTATION] = TURNED
    for name in ("gt", "sr", "lq"):
        (tmp_path / name).mkdir()
    Image.fromarray(photograph[:128, :192]).save(tmp_path / "gt" / "0.jpg", exif=exif, quality=95)
    Image.fromarray(photograph[:32, :48]).save(tmp_path / "lq" / "0.jpg", exif=exif, quality=95)
    stored = cv2.imread(str(tmp_path / "gt" / "0.jpg"), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    assert cv2.imwrite(str(tmp_path / "sr" / "0.png"), np.rot90(stored, -1))
    return tmp_path


def test_photographs_stored_sideways_are_compared_upright(photographs):
    gt, sr = read_bgr(photographs / "gt" / "0.jpg"), read_bgr(photographs / "sr" / "0.png")
    assert gt.shape == (192, 128, 3)
    assert psnr(sr, gt) == float("inf")
    upright = ImageOps.exif_transpose(Image.open(photographs / "gt" / "0.jpg"))
    assert np.abs(np.asarray(upright)[..., ::-1].astype(int) - gt).max() <= 4  # another libjpeg


def test_paired_images_are_those_of_basicsr(photographs):
    options = {
        "name": "x",
        "dataroot_gt": str(photographs / "gt"),
        "dataroot_lq": str(photographs / "lq"),
        "phase": "val",
        "scale": 4,
    }
    ours = build_dataset({**options, "type": "PairedImageMaskDataset"})[0]
    theirs = build_dataset({**options, "type": "PairedImageDataset", "io_backend": {"type": "disk"}})[0]
    for name in ("lq", "gt"):
        assert ours[name].shape == theirs[name].shape
        assert np.array_equal(ours[name].numpy(), theirs[name].numpy())
