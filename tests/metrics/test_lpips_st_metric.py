from prismsr.metrics.lpips_st_metric import calculate_lpips_st
from prismsr.utils.compat import import_stlpips

import cv2
import numpy as np
import pytest
import torch
from basicsr.metrics import calculate_metric


@pytest.fixture(scope="module")
def image(photograph):
    return np.ascontiguousarray(photograph[60:220, 80:272, ::-1])  # BGR


def test_zero_for_equal_images_and_rises_with_blur(image):
    blurred = [cv2.GaussianBlur(image, (0, 0), sigma) for sigma in (0.7, 1.5, 3)]
    values = [calculate_lpips_st(other, image) for other in (image, *blurred)]
    assert values[0] == 0
    assert values == sorted(values)
    assert len(set(values)) == 4


def test_equals_the_package_on_rgb_in_minus_one_one(image):
    blurred = cv2.GaussianBlur(image, (0, 0), 1)
    network = import_stlpips().stlpips.LPIPS(net="alex", variant="shift_tolerant", verbose=False)

    def rgb(img):
        return torch.from_numpy(img[4:-4, 4:-4, ::-1].copy()).permute(2, 0, 1)[None].float() / 127.5 - 1

    expected = network(rgb(blurred), rgb(image)).item()
    got = calculate_metric({"img": blurred, "img2": image}, {"type": "calculate_lpips_st", "crop_border": 4})
    # in float32: five layers whose sums have up to 3,456 terms, each right to 3,456 * 2^-24 = 2e-4 of it
    assert got == pytest.approx(expected, rel=1e-3)


def test_vgg_has_the_published_size():
    network = import_stlpips().stlpips.LPIPS(net="vgg", variant="shift_tolerant", verbose=False)
    convolutions = [p for name, p in network.named_parameters() if name.startswith("net.") and "filt" not in name]
    assert sum(p.numel() for p in convolutions) == 14_714_688  # 14,716,160 with the 1,472 weights of the five heads
    assert sum(p.numel() for p in network.parameters()) == 14_716_160


def test_shapes_must_agree(image):
    with pytest.raises(ValueError, match=r"\(160, 192, 3\) and \(100, 192, 3\)"):
        calculate_lpips_st(image, image[:100])
