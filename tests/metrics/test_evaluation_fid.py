from prismsr.metrics.fid import InceptionFeatures, cut, extract_features, frechet_distance, resize
from prismsr.utils.errors import DataError
from prismsr.utils.images import write_png_atomic

import numpy as np
import pytest
import torch
from scipy import linalg
from torch import nn


def naive_distance(first, second):
    """The definition, with the root of the product of both covariances."""
    means = first.mean(0), second.mean(0)
    covariances = np.cov(first, rowvar=False), np.cov(second, rowvar=False)
    root = linalg.sqrtm(covariances[0] @ covariances[1]).real
    return np.square(means[0] - means[1]).sum() + np.trace(covariances[0] + covariances[1] - 2 * root)


@pytest.mark.parametrize("sizes", [(40, 60), (40, 9), (200, 7)])
def test_distance_equals_the_definition(sizes):
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(12, 12))
    first, second = (rng.normal(size=(n, 12)) @ mixing + n / 50 for n in sizes)
    # few images make the product singular, and sqrtm then errs by some 1e-6
    assert frechet_distance(first, second) == pytest.approx(naive_distance(first, second), rel=1e-5)


def test_distance_in_one_dimension_by_hand():
    first, second = np.array([[0.0], [2.0]]), np.array([[5.0], [5.0], [8.0]])
    variances = 2.0, 3.0
    expected = (1 - 6) ** 2 + sum(variances) - 2 * np.sqrt(variances[0] * variances[1])
    assert frechet_distance(first, second) == pytest.approx(expected, rel=1e-12)


def test_distance_of_equal_sets_and_of_too_few():
    features = np.random.default_rng(0).normal(size=(5, 300))
    assert frechet_distance(features, features[::-1]) == pytest.approx(0, abs=1e-9)
    with pytest.raises(ValueError, match="5 and 1"):
        frechet_distance(features, features[:1])


@pytest.mark.parametrize("mode", ["clean", "legacy_pytorch"])
def test_images_are_resized_as_by_pyiqa(mode, photograph, tmp_path):
    fid_arch = pytest.importorskip("pyiqa.archs.fid_arch")
    write_png_atomic(tmp_path / "cat.png", np.ascontiguousarray(photograph[..., ::-1]))
    theirs = fid_arch.ResizeDataset([tmp_path / "cat.png"], mode)[0]
    torch.testing.assert_close(resize(photograph, mode), theirs, rtol=0, atol=1e-4)


def test_patches():
    image = np.arange(7 * 9 * 3, dtype=np.uint8).reshape(7, 9, 3)
    assert [patch[0, 0, 0] for patch in cut(image, 4)] == [image[0, 0, 0], image[0, 4, 0]]
    assert [patch.shape for patch in cut(image, 3)] == [(3, 3, 3)] * 6
    assert next(cut(image, None)) is image
    with pytest.raises(ValueError, match="9 x 7"):
        list(cut(image, 8))


class Shape(nn.Module):
    """Mean and deviation by channel, with the signature of pyiqa's Inception."""

    def forward(self, images, resize, normalize):
        assert not resize
        assert not normalize
        return [torch.cat([images.mean((2, 3)), images.std((2, 3))], 1)[..., None, None]]


@pytest.mark.parametrize(("mode", "white"), [("clean", 127 / 128), ("legacy_pytorch", 1)])
def test_features(mode, white, tmp_path):
    files = []
    for number in range(18):  # more than a batch
        image = np.zeros((40, 30, 3), np.uint8)
        image[..., 2] = 255  # red
        image[20:] = number
        files.append(tmp_path / f"{number}.png")
        write_png_atomic(files[-1], image)
    network, ticks = InceptionFeatures(Shape()), []
    found = extract_features(files, network, "cpu", mode, tick=lambda: ticks.append(1))
    assert found.shape == (18, 6)
    assert len(ticks) == 18
    patches = extract_features(files, network, "cpu", mode, patches=20)
    assert patches.shape == (36, 6)
    np.testing.assert_allclose(patches[0, :3], [white, -1, -1], atol=1e-6)
    assert (np.diff(patches[1::2, 0]) > 0).all()
    (tmp_path / "3.png").write_bytes(b"none")
    with pytest.raises(DataError, match=r"3\.png"):
        extract_features(files, network, "cpu")
