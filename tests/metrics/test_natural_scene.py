import io

from prismsr.data.prepare.photos import VAL, photo_path
from prismsr.metrics import natural_scene
from prismsr.metrics.natural_scene import (
    NaturalScene,
    describe_blocks,
    describe_images,
    fit_aggd,
    halve,
    normalise_contrast,
)
from prismsr.utils.errors import UserError

import cv2
import numpy as np
import pytest
import torch
from basicsr.metrics.niqe import compute_feature, estimate_aggd_param
from basicsr.utils.matlab_functions import imresize
from PIL import Image
from scipy.ndimage import convolve
from skimage import data


@pytest.fixture(scope="module")
def net():
    return NaturalScene()


def _tensor(image):
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float() / 255


def _niqe_features(image, window):
    """Features of the blocks of an RGB uint8 image, by NIQE's own functions in BasicSR and scipy's convolution."""
    height, width = (side // 96 for side in image.shape[:2])
    grey = image[: height * 96, : width * 96].astype(np.float64) @ [65.481, 128.553, 24.966] / 255 + 16
    scales = []
    for size in (96, 48):
        mean = convolve(grey, window, mode="nearest")
        deviation = np.sqrt(np.abs(convolve(grey**2, window, mode="nearest") - mean**2))
        normal = (grey - mean) / (deviation + 1)
        scales.append(
            [
                compute_feature(normal[row * size : (row + 1) * size, column * size : (column + 1) * size])
                for row in range(height)
                for column in range(width)
            ]
        )
        grey = imresize(grey / 255, scale=0.5, antialiasing=True) * 255
    return np.concatenate(scales, axis=1)


def test_features_are_niqe_s(net, photograph):
    image = photograph[:200, 40:350]  # 2 x 3 blocks, and a rest
    expected = _niqe_features(image, net.window.numpy())
    features = describe_images(_tensor(image), net.window)
    assert features.shape == (1, 6, 36)
    np.testing.assert_allclose(features[0].numpy(), expected, atol=1e-3)  # NIQE's shapes are multiples of 0.001


def test_fit_of_the_asymmetric_gaussian():
    random = np.random.default_rng(0)
    samples = np.stack([random.standard_normal(4000), random.laplace(size=4000), random.uniform(-2, 1, 4000)])
    shape, left, right = fit_aggd(torch.from_numpy(samples))
    expected = np.array([estimate_aggd_param(row) for row in samples])
    np.testing.assert_allclose(torch.stack([shape, left, right], 1).numpy(), expected, atol=2e-3)


def test_distance_is_the_mean_over_blocks(net, photograph):
    image = photograph[50:146, 60:348]
    model = np.load(io.BytesIO(_parameters()))
    offsets = _niqe_features(image, model["gaussian_window"]) - model["mu_pris_param"]
    inverse = np.linalg.inv(model["cov_pris_param"])
    expected = np.mean([np.sqrt(offset @ inverse @ offset) for offset in offsets])
    assert net(_tensor(image)).item() == pytest.approx(expected, rel=1e-3)
    singles = [net(_tensor(image[:, start : start + 96])).item() for start in (0, 96, 192)]
    # each block alone: only the border of the local windows differs
    assert np.mean(singles) == pytest.approx(expected, rel=0.1)


def _parameters():
    return (
        natural_scene.Path(natural_scene.basicsr.metrics.niqe.__file__).with_name("niqe_pris_params.npz").read_bytes()
    )


def test_a_batch_scores_like_its_images(net, photograph_tensor):
    images = torch.cat([photograph_tensor[..., 60:156, left : left + 200] for left in (0, 100, 250)])
    singles = torch.cat([net(image[None]) for image in images])
    torch.testing.assert_close(net(images), singles)


def test_worse_versions_score_worse(net, photograph):
    for image in (photograph[:, :300], data.astronaut()[100:388, 100:388]):
        versions = [image]
        versions += [cv2.GaussianBlur(image, (0, 0), sigma) for sigma in (1, 2, 3)]
        scores = [net(_tensor(version)).item() for version in versions]
        assert scores == sorted(scores) and scores[-1] > scores[0] + 2
        random = np.random.default_rng(0)
        noisy = [np.clip(image + random.normal(0, sigma, image.shape), 0, 255).astype(np.uint8) for sigma in (15, 30)]
        scores = [net(_tensor(version)).item() for version in (image, *noisy)]
        assert scores == sorted(scores) and scores[-1] > scores[0] + 2
        scores = [net(_tensor(_jpeg(image, quality))).item() for quality in (40, 20, 10)]
        assert scores == sorted(scores)
        assert scores[-1] > net(_tensor(image)).item() + 1


def _jpeg(image, quality):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))


def test_gradients_of_the_parts(net):
    generator = torch.Generator().manual_seed(0)
    image = (255 * torch.rand(1, 1, 10, 12, dtype=torch.float64, generator=generator)).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: normalise_contrast(x, net.window), image)
    assert torch.autograd.gradcheck(halve, image)
    blocks = torch.randn(2, 8, 9, dtype=torch.float64, generator=generator).requires_grad_()
    assert torch.autograd.gradcheck(describe_blocks, blocks, rtol=2e-3, atol=1e-4)


def test_gradient_of_the_whole(net, photograph_tensor):
    image = photograph_tensor[..., 60:156, 100:196].double().requires_grad_()
    (gradient,) = torch.autograd.grad(net(image).sum(), image)
    direction = torch.randn(image.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    step = 1e-6
    with torch.no_grad():
        slope = (net(image + step * direction) - net(image - step * direction)) / (2 * step)
    torch.testing.assert_close((gradient * direction).sum(), slope[0], rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_a_flat_image_has_a_finite_score_and_no_gradient(net, level):
    image = torch.full((1, 3, 96, 96), level).requires_grad_()
    score = net(image)
    score.sum().backward()
    assert score.isfinite().all() and score > 15
    assert not image.grad.any()


def test_a_half_flat_image_has_a_finite_gradient(net, photograph_tensor):
    image = photograph_tensor[..., 60:156, 100:196].clone()
    image[..., :50] = 1
    image.requires_grad_()
    net(image).sum().backward()
    assert image.grad.isfinite().all() and image.grad.any()


def test_small_images_are_refused(net):
    with pytest.raises(UserError, match="120 x 64"):
        net(torch.rand(1, 3, 64, 120))


def test_figures_of_amo_s_demo_are_true(net, repository):
    """docs/papers/amo.md: ground truth and bicubic are computed anew."""
    page = (repository / "docs/papers/amo.md").read_text(encoding="utf8")
    tables = [[cell.strip() for cell in line.split("|")[1:-1]] for line in page.splitlines() if line[:1] == "|"]
    column = next(row for row in tables if any(cell.startswith("natural_scene") for cell in row))
    place = next(number for number, cell in enumerate(column) if cell.startswith("natural_scene"))
    start = tables.index(column)
    rows = {row[0]: row[place] for row in tables[start : start + 7] if len(row) > place}
    truth, bicubic = [], []
    for name in VAL.values():
        image = np.array(Image.open(photo_path(name)).convert("RGB"))
        height, width = (side // 12 * 12 for side in image.shape[:2])
        image = image[:height, :width]
        small = (imresize(image.astype(np.float32) / 255, 0.25) * 255).round().clip(0, 255)
        large = (imresize(small / 255, 4) * 255).round().clip(0, 255)
        for scores, shown in ((truth, image), (bicubic, large)):
            scores.append(net(_tensor(shown[4:-4, 4:-4])).item())
    assert f"{np.mean(truth):.2f}" == rows["ground truth"]
    assert f"{np.mean(bicubic):.2f}" == rows["bicubic"]
