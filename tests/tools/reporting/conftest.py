import numpy as np
import pytest
from report_case import metric, write_evaluation, write_image


@pytest.fixture
def tree(tmp_path, photograph):
    """Two methods on Set9: GT of 64 x 80 pixels; `b` is noisier than `a`, most of all in one corner of `eye`."""
    noise = np.random.default_rng(0)
    for name, gt in (("cat", photograph[100:164, 100:180]), ("eye", photograph[60:124, 150:230])):
        write_image(tmp_path / "Set9" / "GT" / f"{name}.png", gt)
        write_image(tmp_path / "lq" / f"{name}.png", gt[::4, ::4])
        for strength, method in enumerate("ab", start=1):
            change = noise.integers(-2 * strength, 2 * strength + 1, gt.shape)
            change[40:, 50:] *= 8 if name == "eye" else 1
            image = np.clip(gt.astype(int) + change, 0, 255)
            write_image(tmp_path / "sr" / method / "Set9" / f"{name}_x4.png", image)
    write_evaluation(tmp_path, "a", {"PSNR": metric("PSNR", 30.5), "NIQE": metric("NIQE", 4.0)})
    write_evaluation(tmp_path, "b", {"PSNR": metric("PSNR", 29.123456), "NIQE": metric("NIQE", 3.5)})
    return tmp_path
