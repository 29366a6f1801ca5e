import cv2
import numpy as np
import pytest
from basicsr.utils.matlab_functions import imresize


@pytest.mark.parametrize("scale", [2, 4])
def test_lr_equals_basicsr(prepare, hr, tmp_path, images, scale):
    assert prepare("downsample", "-i", hr, "-o", tmp_path / "LR", "--scale", scale) == 0
    lr = images(tmp_path / "LR")
    for name, image in images(hr).items():
        reference = imresize(image / 255.0, 1 / scale)
        assert lr[name].dtype == np.uint8
        assert np.abs(lr[name] - (reference * 255).clip(0, 255)).max() <= 0.5 + 1e-3


def test_16_bit_grey_stays_16_bit(prepare, tmp_path, photograph):
    image = photograph[:48, :64, 1].astype(np.uint16) * 257 + 5
    (tmp_path / "HR").mkdir()
    cv2.imwrite(str(tmp_path / "HR/x.png"), image)
    assert prepare("downsample", "-i", tmp_path / "HR", "-o", tmp_path / "LR") == 0
    lr = cv2.imread(str(tmp_path / "LR/x.png"), cv2.IMREAD_UNCHANGED)
    assert lr.dtype == np.uint16 and lr.shape == (12, 16)
    assert np.abs(lr - imresize(image / 65535, 0.25) * 65535).max() <= 0.5 + 0.1  # basicsr computes in float32


def test_sides_that_the_scale_does_not_divide(prepare, hr, tmp_path, images, capsys):
    image = cv2.imread(str(hr / "a.png"))[:47, :59]
    cv2.imwrite(str(hr / "a.png"), image)
    assert prepare("downsample", "-i", hr, "-o", tmp_path / "LR") == 1
    assert "a.png: 47 x 59 pixels" in (error := capsys.readouterr().err) and "--mod-crop" in error
    assert prepare("downsample", "-i", hr, "-o", tmp_path / "cropped", "--mod-crop") == 0
    expected = (imresize(image[:44, :56] / 255.0, 0.25) * 255).clip(0, 255)
    assert np.abs(images(tmp_path / "cropped")["a.png"] - expected).max() <= 0.5 + 1e-3


def test_hr_cropped_to_multiples_of_12(prepare, hr, tmp_path, images, capsys):
    """Scale 1 leaves the pixels as they are: the way to GTmod12."""
    assert prepare("downsample", "-i", hr, "-o", tmp_path / "GTmod12", "--scale", 1, "--mod-crop", 12) == 0
    originals = images(hr)
    for name, image in images(tmp_path / "GTmod12").items():
        height, width = (side - side % 12 for side in originals[name].shape[:2])
        assert np.array_equal(image, originals[name][:height, :width])
    assert prepare("downsample", "-i", hr, "-o", tmp_path / "x", "--scale", 8, "--mod-crop", 12) == 2
    assert "multiples of the scale, 8" in capsys.readouterr().err


def test_image_smaller_than_a_pixel_of_lr(prepare, tmp_path, photograph, capsys):
    (tmp_path / "HR").mkdir()
    cv2.imwrite(str(tmp_path / "HR/x.png"), photograph[:3, :20])
    assert prepare("downsample", "-i", tmp_path / "HR", "-o", tmp_path / "LR", "--mod-crop") == 1
    assert "x.png: 3 x 20 pixels (height x width); 4 or more are needed" in capsys.readouterr().err
