"""DPACM's losses against loops, LPIPS-ST's package, scipy's Wasserstein distance and gradcheck."""

from prismsr.archs.alexnet_features_arch import CHANNELS, AlexNetFeatures
from prismsr.losses.dpacm_distances import distribution_distance, feature_distance, lpips_distance
from prismsr.losses.dpacm_loss import AlexNetFeatureLoss, LPIPSLoss, PixelDistributionLoss, pair_with_gt
from prismsr.utils.compat import import_stlpips
from prismsr.utils.weights.files import WeightsError

import pytest
import torch
from basicsr.losses import build_loss
from scipy.stats import wasserstein_distance
from torch.nn import functional as F

KINDS = ("w1_printed", "w1_sorted", "w1_sorted_batch")


@pytest.fixture
def pair(photograph_tensor):
    gt = torch.cat([photograph_tensor[:, :, top : top + 64, 100:164] for top in (40, 120)])
    return F.interpolate(F.avg_pool2d(gt, 4), scale_factor=4, mode="bilinear"), gt


@pytest.fixture(scope="module")
def alexnet_weights(tmp_path_factory):
    """A file in torchvision's layout of AlexNet with random features; the classifier takes no room."""
    from torchvision.models import alexnet

    with torch.device("meta"):
        shapes = {key: value.shape for key, value in alexnet().state_dict().items()}
    generator = torch.Generator().manual_seed(0)
    state = {}
    for key, shape in shapes.items():
        random = torch.randn(shape, generator=generator) * (2 / (shape[1:].numel() or 1)) ** 0.5
        state[key] = torch.zeros(1).expand(shape) if key.startswith("classifier") else random
    path = tmp_path_factory.mktemp("alexnet") / "alexnet.pth"
    torch.save(state, path)
    return path


def maps(count, seed, size=(3, 2)):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(2, count + level, *size, dtype=torch.float64, generator=generator) for level in range(2)]


def test_equation_2_is_a_weighted_mean_of_squares():
    a, b, weights = maps(3, 0), maps(3, 1), [0.5, 2.0]
    total = 0.0
    for one, other, weight in zip(a, b, weights, strict=True):
        squares = [(float(x) - float(y)) ** 2 for x, y in zip(one.flatten(), other.flatten(), strict=True)]
        total += weight * sum(squares) / len(squares)
    assert float(feature_distance(a, b, weights)) == pytest.approx(total, rel=1e-12)
    torch.autograd.gradcheck(lambda *x: feature_distance(x, b, weights), [x.requires_grad_() for x in a])


def test_lpips_is_the_weighted_distance_of_unit_vectors():
    a, b = maps(3, 0), maps(3, 1)
    linear = [torch.rand(x.shape[1], dtype=torch.float64) for x in a]
    expected = torch.zeros(2, dtype=torch.float64)
    for one, other, weight in zip(a, b, linear, strict=True):
        for image in range(2):
            for y in range(3):
                for x in range(2):
                    u, v = one[image, :, y, x], other[image, :, y, x]
                    expected[image] += (weight * (u / u.norm() - v / v.norm()).square()).sum() / 6
    torch.testing.assert_close(lpips_distance(a, b, linear), expected)
    torch.autograd.gradcheck(lambda *x: lpips_distance(x, b, linear), [x.requires_grad_() for x in a])


def test_lpips_of_empty_features_has_a_finite_gradient():
    x = torch.zeros(1, 4, 2, 2, requires_grad=True)
    lpips_distance([x], [torch.rand(1, 4, 2, 2)], [torch.ones(4)]).sum().backward()
    assert bool(x.grad.isfinite().all())


@pytest.mark.usefixtures("double")
def test_equation_3_as_printed_is_the_mean_absolute_difference():
    a, b = torch.rand(2, 2, 3, 4, 5).unbind()
    total = sum(abs(float(x) - float(y)) for x, y in zip(a.flatten(), b.flatten(), strict=True)) / a.numel()
    assert float(distribution_distance(a, b)) == pytest.approx(total, rel=1e-10)


def test_sorted_is_scipy_s_wasserstein_distance(pair):
    sr, gt = (image.double() for image in pair)
    rows = [
        wasserstein_distance(sr[image, channel].flatten(), gt[image, channel].flatten())
        for image in range(2)
        for channel in range(3)
    ]
    assert float(distribution_distance(sr, gt, "w1_sorted")) == pytest.approx(sum(rows) / 6, rel=1e-10)
    pooled = [wasserstein_distance(sr[:, channel].flatten(), gt[:, channel].flatten()) for channel in range(3)]
    assert float(distribution_distance(sr, gt, "w1_sorted_batch")) == pytest.approx(sum(pooled) / 3, rel=1e-10)


def test_shuffled_pixels_have_no_wasserstein_distance(pair):
    gt = pair[1]
    shuffled = gt.flatten(2)[..., torch.randperm(64 * 64)].view_as(gt)
    assert float(distribution_distance(shuffled, gt, "w1_sorted")) == 0
    assert float(distribution_distance(shuffled, gt, "w1_printed")) > 0.1


@pytest.mark.parametrize("kind", KINDS)
def test_gradcheck_of_the_distribution(kind):
    generator = torch.Generator().manual_seed(2)
    a, b = torch.randn(2, 2, 3, 3, 2, dtype=torch.float64, generator=generator).unbind()
    torch.autograd.gradcheck(lambda x: distribution_distance(x, b, kind), a.clone().requires_grad_())


@pytest.mark.parametrize("kind", KINDS)
def test_gradient_reaches_all_pixels(pair, kind):
    sr = (pair[0] + 0.01).requires_grad_()
    distribution_distance(sr, pair[1] + 1, kind).backward()
    assert float((sr.grad != 0).float().mean()) == 1


def test_several_images_are_compared_with_reduced_ones(pair):
    gt = pair[1]
    images = [torch.zeros(2, 3, side, side, dtype=torch.bfloat16) for side in (64, 32, 8)]
    pairs = pair_with_gt(images, gt)
    assert [image.dtype for image, _ in pairs] == [torch.float32] * 3
    torch.testing.assert_close([target for _, target in pairs], [gt, F.avg_pool2d(gt, 2), F.avg_pool2d(gt, 8)])
    loss = PixelDistributionLoss(0.3)
    expected = 0.3 * sum(target.abs().mean() for _, target in pairs)
    torch.testing.assert_close(loss(images, gt), expected)
    torch.testing.assert_close(loss(images[0].float(), gt), 0.3 * gt.mean())


def test_alexnet_s_maps_are_torchvision_s_relu_outputs(pair, alexnet_weights):
    from torchvision.models import alexnet

    features = AlexNetFeatures(weights=str(alexnet_weights))
    with torch.device("meta"):
        theirs = alexnet()
    theirs.load_state_dict(torch.load(alexnet_weights), assign=True)
    x = (pair[0] - features.mean) / features.std
    expected = []
    for number, layer in enumerate(theirs.features):
        x = layer(x)
        if number in (1, 4, 7, 9, 11):
            expected.append(x.clone())
    maps = features(pair[0])
    assert [x.shape[1] for x in maps] == list(CHANNELS)
    for own, other in zip(maps, expected, strict=True):
        torch.testing.assert_close(own, other)
    assert not any(p.requires_grad for p in features.parameters()) and not features.train().training
    assert features(torch.rand(1, 3, 32, 32))[-1].shape == (1, 256, 1, 1)
    with pytest.raises(ValueError, match="at least 32 x 32"):
        features(torch.rand(1, 3, 31, 40))


def test_feature_loss_weighs_layers(pair, alexnet_weights):
    sr, gt = pair[0].clone().requires_grad_(), pair[1]
    settings = {"type": "AlexNetFeatureLoss", "weights": str(alexnet_weights), "loss_weight": 2.0}
    loss = build_loss({**settings, "layer_weights": {"relu2": 0.5, "relu5": 1.0}})
    a, b = loss.features(sr), loss.features(gt)
    expected = 2 * (0.5 * F.mse_loss(a[1], b[1]) + F.mse_loss(a[4], b[4]))
    torch.testing.assert_close(loss(sr, gt), expected)
    loss((sr,), gt).backward()
    assert sr.grad.any() and loss.inputs == ("x_rgb", "gt")
    everywhere = build_loss({**settings, "loss_weight": 1.0})
    torch.testing.assert_close(everywhere(sr, gt), sum(F.mse_loss(x, y) for x, y in zip(a, b, strict=True)))
    with pytest.raises(ValueError, match=r"\['relu6'\]; AlexNet has: relu1"):
        AlexNetFeatureLoss(layer_weights={"relu6": 1.0}, weights=str(alexnet_weights))


def test_shift_tolerant_lpips_is_the_package_s_own(pair):
    network = import_stlpips().stlpips.LPIPS(net="alex", variant="shift_tolerant", verbose=False).double()
    loss, pair = LPIPSLoss(1.5, "st_alexnet").double(), [image.double() for image in pair]
    with torch.no_grad():
        expected = network(*pair, normalize=True).mean() * 1.5
        torch.testing.assert_close(loss(*pair), expected)
    assert float(loss(pair[1], pair[1])) == 0


def test_lpips_takes_local_files(pair, alexnet_weights, tmp_path):
    linear = [torch.rand(1, width, 1, 1) for width in CHANNELS]
    state = {f"lin{number}.model.1.weight": weight for number, weight in enumerate(linear)}
    torch.save(state, tmp_path / "lin.pth")
    settings = {"type": "LPIPSLoss", "weights": str(alexnet_weights)}
    loss = build_loss({**settings, "linear_weights": str(tmp_path / "lin.pth")})
    a, b = loss.features(pair[0]), loss.features(pair[1])
    expected = lpips_distance(a, b, [weight.flatten() for weight in linear]).mean()
    torch.testing.assert_close(loss(*pair), expected)
    with pytest.raises(WeightsError, match="LPIPS"):
        build_loss({**settings, "linear_weights": str(alexnet_weights)})


def test_missing_weights_say_what_to_do(tmp_path, monkeypatch, alexnet_weights):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", _no_network)
    with pytest.raises(WeightsError, match=r"Fetch https://.*alexnet-owt-7be5be79\.pth .*`weights`"):
        AlexNetFeatureLoss()
    with pytest.raises(WeightsError, match=r"Fetch https://.*LPIPS_v0\.1_alex-df73285e\.pth .*`linear_weights`"):
        LPIPSLoss(weights=str(alexnet_weights))
    with pytest.raises(ValueError, match="backbone is 'alex'"):
        AlexNetFeatures("alex")


def _no_network(*args, **kwargs):
    raise OSError("no route to host")
