from prismsr.archs.vgg_features_arch import VGGFeatures, list_layers
from prismsr.losses.feature_loss import FeatureLoss
from prismsr.utils.compat import import_stlpips
from prismsr.utils.weights.files import WeightsError

import pytest
import torch
from basicsr.losses.basic_loss import PerceptualLoss
from torch.nn import functional as F


@pytest.fixture
def pair(photograph_tensor):
    gt = photograph_tensor[:, :, 40:136, 100:196]
    sr = F.interpolate(F.avg_pool2d(gt, 2), scale_factor=2, mode="bilinear")
    return sr, gt


def test_vgg19_equals_basicsr(pair, torch_home):
    sr, gt = pair
    layers = {"conv1_2": 0.1, "relu3_1": 0.5, "conv5_4": 1.0}
    ours, theirs = FeatureLoss(layers), PerceptualLoss(layers)
    sr_ours, sr_theirs = sr.clone().requires_grad_(), sr.clone().requires_grad_()
    value, (reference, _) = ours(sr_ours, gt), theirs(sr_theirs, gt)
    value.backward()
    reference.backward()
    assert value.item() > 0
    torch.testing.assert_close(value, reference)
    torch.testing.assert_close(sr_ours.grad, sr_theirs.grad)


def test_weights_option_reads_a_local_file(pair, vgg19_weights):
    loss = FeatureLoss({"conv2_2": 1.0}, weights=str(vgg19_weights), loss_weight=2.0, criterion="l2")
    features = loss.features
    sr, gt = pair
    expected = 2.0 * F.mse_loss(features(sr)["conv2_2"], features(gt)["conv2_2"])
    torch.testing.assert_close(loss(sr, gt), expected)


def test_missing_weights_say_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", _no_network)
    with pytest.raises(WeightsError, match=r"Fetch https://.*vgg19-dcbb9e9d\.pth .* put it at .*checkpoints"):
        FeatureLoss({"conv5_4": 1.0})
    with pytest.raises(WeightsError, match=r"No file at .*nothing\.pth"):
        FeatureLoss({"conv5_4": 1.0}, weights=str(tmp_path / "nothing.pth"))


def _no_network(*args, **kwargs):
    raise OSError("no route to host")


def test_shift_tolerant_features_are_the_package_s_own(pair):
    stlpips = import_stlpips().stlpips
    network = stlpips.LPIPS(net="vgg", variant="shift_tolerant", verbose=False).double()
    sr = pair[0].double()
    theirs = network.net(network.scaling_layer(sr * 2 - 1))
    ours = VGGFeatures(["relu1_2", "relu3_3", "relu5_3"], "st_vgg16").double()(sr)
    # float64 leaves one difference, alike on every CPU: how mean and deviation of the input are rounded to float32
    for layer, value in ours.items():
        torch.testing.assert_close(value, getattr(theirs, layer), rtol=0, atol=1e-4)


def test_features_before_activation_are_not_overwritten(pair):
    features = VGGFeatures(["conv1_2", "relu1_2"], "st_vgg16")(pair[0])
    assert features["conv1_2"].min() < 0
    torch.testing.assert_close(features["conv1_2"].relu(), features["relu1_2"])


def test_network_is_frozen_and_stays_in_eval():
    loss = FeatureLoss({"relu2_2": 1.0}, backbone="st_vgg16").train()
    assert not loss.features.training
    assert not any(parameter.requires_grad for parameter in loss.parameters())


def test_unknown_layer_and_backbone_are_named():
    with pytest.raises(ValueError, match=r"conv9_9.*st_vgg16 has: conv1_1"):
        VGGFeatures(["conv9_9"], "st_vgg16")
    layers = list_layers("st_vgg16")
    assert list(VGGFeatures(layers, "st_vgg16").net._modules) == layers
    with pytest.raises(ValueError, match=r"backbone is 'vgg99'; allowed"):
        VGGFeatures(["conv1_1"], "vgg99")
