import cv2
import numpy as np
import pytest
from PIL import Image
from scipy.io import loadmat


def _reference(path, threshold=20, absolute=False):
    """The SSL release's mask, by PIL's luma and OpenCV's Laplacian."""
    luma = np.array(Image.open(path).convert("L"))
    if absolute:
        return np.abs(cv2.Laplacian(luma, cv2.CV_16S)) > threshold
    return cv2.Laplacian(luma, cv2.CV_8U) > threshold


@pytest.mark.parametrize(
    ("options", "reference"), [((), {}), (("--threshold", "8.5", "--absolute"), {"threshold": 8.5, "absolute": True})]
)
def test_masks_equal_pil_and_opencv(prepare, hr, tmp_path, images, capsys, options, reference):
    assert prepare("edges", "-i", hr, "-o", tmp_path / "mask", *options) == 0
    masks = images(tmp_path / "mask")
    assert sorted(masks) == ["a.png", "b.png", "c.png", "sub/d.png"]
    expected = {name: _reference(hr / name, **reference) for name in masks}
    for name, mask in masks.items():
        assert mask.dtype == np.uint8 and mask.ndim == 2
        assert np.array_equal(mask, expected[name] * 255)
    fraction = sum(mask.sum() for mask in expected.values()) / sum(mask.size for mask in expected.values())
    assert 0.01 < fraction < 0.9
    assert f"{fraction:.2%} of the pixels are edges" in capsys.readouterr().out


def test_fraction_counts_masks_of_an_earlier_run(prepare, hr, tmp_path, capsys):
    lines = []
    for _ in range(2):
        assert prepare("edges", "-i", hr, "-o", tmp_path / "mask") == 0
        lines.append(capsys.readouterr().out)
    assert "4 files written" in lines[0] and "0 files written" in lines[1]
    assert lines[0].split(",")[-1] == lines[1].split(",")[-1]


def test_release_tree_with_mat_files(prepare, hr, tmp_path, images):
    assert prepare("edges", "-i", hr, "-o", tmp_path / "mask", "--mat") == 0
    for name, png in images(tmp_path / "mask/png").items():
        mat = loadmat(tmp_path / "mask/mat" / name.replace(".png", ".mat"))["mat"]
        assert mat.dtype == np.int64 and np.array_equal(mat * 255, png)
    assert prepare("verify", hr, "--mask", tmp_path / "mask/mat") == 0


def test_grey_alpha_and_16_bit_images(prepare, tmp_path, photograph, images):
    folder = tmp_path / "HR"
    folder.mkdir()
    bgr = photograph[60:124, 100:180, ::-1]
    variants = {"colour": bgr, "alpha": np.dstack([bgr, bgr[..., 0]]), "deep": bgr.astype(np.uint16) * 257}
    for name, image in {**variants, "grey": bgr[..., 1]}.items():
        cv2.imwrite(str(folder / f"{name}.png"), image)
    assert prepare("edges", "-i", folder, "-o", tmp_path / "mask") == 0
    masks = images(tmp_path / "mask")
    for name in ("alpha", "deep"):
        assert np.array_equal(masks[f"{name}.png"], masks["colour.png"])
    assert np.array_equal(masks["grey.png"], _reference(folder / "grey.png") * 255)
