import socket

from prismsr.metrics.catalog import find_metric
from prismsr.metrics.full_reference import _name_second_file, build_fr_metric
from prismsr.metrics.lpips_st_metric import calculate_lpips_st
from prismsr.metrics.no_reference import NRMetric
from prismsr.utils.errors import OptionError
from prismsr.utils.weights.files import WeightsError

import cv2
import numpy as np
import pytest
import torch
import torchvision

ROUNDING = 1e-3  # in float32: five levels whose sums have up to 3,456 terms, each right to 3,456 * 2^-24 = 2e-4 of it
RANDOM = {"pretrained": False, "pnet_rand": True}  # LPIPS without any weights


@pytest.fixture(scope="module")
def pairs(photograph_tensor):
    gt = torch.cat([photograph_tensor[..., :96, :128], photograph_tensor[..., 100:196, 200:328]])
    return (gt + 0.1 * torch.randn(gt.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1), gt


@pytest.fixture
def offline(monkeypatch, tmp_path):
    """No network, and no weights in any cache."""

    def nowhere(*arguments, **more):
        raise socket.gaierror("no network")

    monkeypatch.setattr(socket, "getaddrinfo", nowhere)
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    download = pytest.importorskip("pyiqa.utils.download_util")
    monkeypatch.setattr(download, "DEFAULT_CACHE_DIR", str(tmp_path / "pyiqa"))
    return tmp_path


def test_lpips_st_is_the_packages_and_batches_change_nothing(photograph):
    image = np.ascontiguousarray(photograph[60:160, 80:200, ::-1])
    others = [cv2.GaussianBlur(image, (0, 0), sigma) for sigma in (1, 2)]
    metric = build_fr_metric("lpips-st")
    tensors = [torch.from_numpy(one[..., ::-1].copy()).permute(2, 0, 1).float() / 255 for one in (*others, image)]
    values = metric(torch.stack(tensors[:2]), torch.stack([tensors[2]] * 2))
    assert values.shape == (2,)
    assert values.tolist() == pytest.approx([calculate_lpips_st(other, image) for other in others], rel=ROUNDING)
    assert metric.version.startswith("stlpips_pytorch ")
    assert metric.lower_better
    metric.train()
    assert not metric.training
    assert not metric.net.training


def test_pyiqas_lpips(pairs):
    pyiqa = pytest.importorskip("pyiqa")
    metric = build_fr_metric("pyiqa:lpips", net="squeeze", **RANDOM)
    net = pyiqa.create_metric("lpips", device=torch.device("cpu"), net="squeeze", **RANDOM).net
    net.load_state_dict(metric.net.state_dict())
    with torch.no_grad():
        expected = [net(one[None], other[None]).item() for one, other in zip(*pairs, strict=True)]
    assert metric(*pairs).tolist() == pytest.approx(expected, rel=ROUNDING)
    assert metric.version == f"pyiqa {pyiqa.__version__}"
    assert metric.hash_weights() == NRMetric(metric.net, "x", "1", True, (0, 1)).hash_weights()
    next(metric.net.parameters()).data[0] += 1
    assert metric.hash_weights() != NRMetric(net, "x", "1", True, (0, 1)).hash_weights()


def test_what_is_missing_is_named(offline):
    with pytest.raises(WeightsError) as caught:
        build_fr_metric("lpips")
    message = str(caught.value)
    assert f"alexnet-owt-7be5be79.pth on a machine with a network and put it at {offline}" in message
    assert f"LPIPS_v0.1_alex-df73285e.pth at {offline / 'pyiqa'}" in message
    assert "LPIPS_v0.1_vgg-a78928a0.pth at" in _name_second_file("lpips", {"net": "vgg"})
    assert "DISTS_weights-f5e65c96.pth at" in _name_second_file("dists", {})


def test_wrong_names_and_kinds():
    pytest.importorskip("pyiqa")
    with pytest.raises(OptionError, match="did you mean 'lpips'"):
        build_fr_metric("lpipz")
    with pytest.raises(OptionError, match="psnr"):
        build_fr_metric("psnr")
    with pytest.raises(OptionError, match="pyiqa:musiq"):
        build_fr_metric("pyiqa:musiq", pretrained=False)
    with pytest.raises(OptionError, match="net: "):
        build_fr_metric("lpips-st", net="vgg19")


def test_shapes_must_agree(pairs):
    with pytest.raises(ValueError, match="shapes differ"):
        build_fr_metric("lpips-st")(pairs[0], pairs[1][..., 1:])


@pytest.mark.parametrize("name", ["lpips-st", "lpips"])
def test_least_sizes_are_right(name, monkeypatch):
    options = {}
    if name == "lpips":
        pytest.importorskip("pyiqa")
        alexnet, options = torchvision.models.alexnet, RANDOM
        monkeypatch.setattr(torchvision.models, "alexnet", lambda *_, **__: alexnet(weights=None))
    metric, (least, _) = build_fr_metric(name, **options), find_metric(name).least
    assert metric(*torch.rand(2, 1, 3, least, least)).isfinite().all()
    with pytest.raises(RuntimeError):
        metric(*torch.rand(2, 1, 3, least - 1, 2 * least))
