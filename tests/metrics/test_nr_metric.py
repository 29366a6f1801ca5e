import hashlib
import random
import sys
from urllib.error import URLError

from prismsr.metrics.no_reference import NRMetric, build_nr_metric
from prismsr.metrics.nr_iqa_metric import calculate_nr_iqa
from prismsr.metrics.pyiqa_networks import parse_range
from prismsr.utils.errors import OptionError, UserError
from prismsr.utils.weights.files import WeightsError

import numpy as np
import pyiqa
import pytest
import torch
from basicsr.metrics import calculate_metric, calculate_niqe
from torch import nn

MUSIQ = {"pretrained": False, "num_layers": 2}


@pytest.fixture(scope="module")
def musiq():
    return build_nr_metric("musiq", **MUSIQ)


@pytest.fixture
def crops(photograph_tensor):
    return torch.cat([photograph_tensor[..., 60:156, left : left + 128] for left in (20, 150)])


class Mean(nn.Module):
    """The mean of an image times 8, with a further output."""

    def forward(self, images):
        return 8 * images.mean((1, 2, 3))[:, None], "more"


def test_musiq_is_pyiqa_s(crops):
    metric = build_nr_metric("pyiqa:musiq", **MUSIQ)
    assert (metric.name, metric.version) == ("musiq", f"pyiqa {pyiqa.__version__}")
    assert (metric.lower_better, metric.score_range) == (False, (0.0, 100.0))
    theirs = pyiqa.create_metric("musiq", device=torch.device("cpu"), **MUSIQ)
    theirs.net.load_state_dict(metric.net.state_dict())
    torch.testing.assert_close(metric(crops), theirs(crops)[:, 0], rtol=0, atol=1e-6)
    assert torch.equal(metric.rate(crops), metric(crops))


@pytest.mark.parametrize("name", ["musiq", "natural_scene"])
def test_a_batch_scores_like_its_images(name, crops, musiq):
    metric = musiq if name == "musiq" else build_nr_metric(name)
    scores = metric(crops)
    assert scores.shape == (2,) and abs(scores[0] - scores[1]) > 0.01
    # MUSIQ in float32: ten layers whose sums have up to 1536 terms, each right to 1536 * 2^-24 = 1e-4 of it
    torch.testing.assert_close(scores, torch.cat([metric(crop[None]) for crop in crops]), rtol=1e-3, atol=0)


def test_frozen_and_in_eval_inside_a_module_in_training(musiq, crops):
    owner = nn.Sequential(musiq).train()
    assert owner.training and not any(module.training for module in musiq.modules())
    assert not any(parameter.requires_grad for parameter in musiq.parameters())
    images = crops.clone().requires_grad_()
    musiq(images).sum().backward()
    assert images.grad.isfinite().all() and (images.grad.flatten(1) != 0).any(1).all()
    assert all(parameter.grad is None for parameter in musiq.parameters())


def test_float32_under_autocast(musiq, crops):
    with torch.autocast("cpu", torch.bfloat16):
        scores = musiq(crops.bfloat16().float())
    assert scores.dtype == torch.float32
    assert torch.equal(scores, musiq(crops.bfloat16().float()))


def test_the_common_scale():
    images = torch.stack([torch.full((3, 4, 4), level) for level in (0.0, 0.5, 1.0)])
    higher = NRMetric(Mean(), "mean", "1", False, (2.0, 6.0))
    torch.testing.assert_close(higher(images), torch.tensor([0.0, 4.0, 8.0]))
    torch.testing.assert_close(higher.rate(images), torch.tensor([-50.0, 50.0, 150.0]))
    lower = NRMetric(Mean(), "mean", "1", True, (0.0, 8.0))
    torch.testing.assert_close(lower.rate(images), torch.tensor([100.0, 50.0, 0.0]))
    with pytest.raises(OptionError, match=r"mean: .*score_range"):
        NRMetric(Mean(), "mean", "1", True, (0.0, None)).rate(images)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0, 10", (0, 10)), ("~0, ~100", (0, 100)), ("~-1, ~0.1", (-1, 0.1)), ("~0, ~", (0, None)), (None, (None, None))],
)
def test_ranges_as_pyiqa_writes_them(text, expected):
    assert parse_range(text) == expected


def test_a_range_given_by_option(crops):
    metric = build_nr_metric("natural_scene", score_range=[5, 30])
    torch.testing.assert_close(metric.rate(crops), 100 * (30 - metric(crops)) / 25)
    with pytest.raises(OptionError, match="score_range: "):
        build_nr_metric("natural_scene", score_range=[5, 3])


def test_the_generators_are_left_alone_and_equal_calls_give_equal_results(crops):
    class Noisy(nn.Module):
        def forward(self, images):
            return images.mean((1, 2, 3)) + torch.rand(1) + np.random.rand() + random.random()

    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    one, other = build_nr_metric("musiq", **MUSIQ), build_nr_metric("musiq", **MUSIQ)
    noisy = NRMetric(Noisy(), "noisy", "1", False, (0, 1))
    assert torch.equal(noisy(crops), noisy(crops)) and torch.equal(one(crops), other(crops))
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1] == before[1]).all() and random.getstate() == before[2]


def test_hash_of_the_weights(musiq):
    digest = hashlib.sha256()
    for _, value in sorted(musiq.net.state_dict().items()):
        digest.update(value.numpy().tobytes())
    assert musiq.hash_weights() == digest.hexdigest()
    assert NRMetric(Mean(), "mean", "1", False, (0, 1)).hash_weights() == ""
    assert len(build_nr_metric("natural_scene").hash_weights()) == 64


def test_parameters_outside_of_the_state_dict_count_as_weights(tmp_path):
    """pyiqa's NIQE and the like keep theirs as plain attributes."""

    class Fitted(nn.Module):
        def __init__(self, mean):
            super().__init__()
            self.mean, self.trees = torch.tensor(mean), [np.array([np.arange(3), np.arange(2) + mean], object)]

    def hashed(net):
        return NRMetric(net, "fitted", "1", False, (0, 1)).hash_weights()

    assert hashed(Fitted(1.0)) == hashed(Fitted(1.0)) != hashed(Fitted(2.0))
    assert len(hashed(Fitted(1.0))) == 64


def test_basicsr_s_niqe_is_niqe_everywhere(photograph):
    image = np.ascontiguousarray(photograph[:200, :200, ::-1])
    metric = build_nr_metric("niqe", crop_border=4)
    assert (metric.name, metric.version, metric.lower_better) == ("niqe", "basicsr 1.4.2", True)
    assert len(metric.hash_weights()) == 64
    images = torch.from_numpy(image[..., ::-1].copy()).permute(2, 0, 1)[None].float() / 255
    assert metric(images.requires_grad_()).tolist() == [np.float32(calculate_niqe(image, 4))]
    assert not metric.gives_gradient()
    assert calculate_nr_iqa(image, "calculate_niqe", crop_border=4) == metric(images).item()


def test_weights_from_a_local_file(musiq, crops, tmp_path):
    state = {key: value * 1.1 for key, value in musiq.net.state_dict().items()}
    torch.save({"params": state}, tmp_path / "musiq.pth")
    loaded = build_nr_metric("musiq", weights=str(tmp_path / "musiq.pth"), num_layers=2)
    assert all(torch.equal(value, state[key]) for key, value in loaded.net.state_dict().items())
    with pytest.raises(WeightsError, match=r"musiq\.pth.*encoderblock_2"):
        build_nr_metric("musiq", weights=str(tmp_path / "musiq.pth"), num_layers=3)
    with pytest.raises(WeightsError, match=r"No file at .*other\.pth"):
        build_nr_metric("musiq", weights=str(tmp_path / "other.pth"))


def test_what_is_missing_is_told(monkeypatch, tmp_path):
    def no_network(*args, **kwargs):
        raise URLError("no route to host")

    monkeypatch.setattr("pyiqa.utils.download_util.download_url_to_file", no_network)
    monkeypatch.setattr("pyiqa.utils.download_util.DEFAULT_CACHE_DIR", str(tmp_path))
    fetch = rf"no route to host.*Fetch https://\S*/musiq_koniq_ckpt-e95806b9\.pth .* put it at {tmp_path}/musiq_koniq"
    with pytest.raises(WeightsError, match=fetch):
        build_nr_metric("musiq")
    monkeypatch.setitem(sys.modules, "clip", None)
    with pytest.raises(UserError, match=r"pyiqa:clipiqa.*pip install openai-clip"):
        build_nr_metric("clipiqa")
    monkeypatch.setitem(sys.modules, "pyiqa", None)
    with pytest.raises(OptionError, match=r"pip install pyiqa.*PolyForm Noncommercial"):
        build_nr_metric("musiq")


@pytest.mark.parametrize(
    ("metric", "options", "message"),
    [
        ("musiqq", {}, "did you mean 'musiq'"),
        ("natural_scen", {}, "did you mean 'natural_scene'"),
        ("fid", {}, "fid compares whole sets of images"),
        ("pyiqa:psnr", {}, "pyiqa:psnr compares two images"),
        ("niqe", {"border": 4}, "niqe: border: unknown argument"),
        ("musiq", {"layers": 2, "pretrained": False}, "pyiqa:musiq does not take the options.*'layers'"),
        ("natural_scene", {"block": 96}, "natural_scene has no option 'block'"),
        ("sfd_iqa", {"feat": "x.pth"}, "prompts: is required.*sfd_iqa: feat: unknown argument"),
    ],
)
def test_wrong_names_and_options(metric, options, message):
    with pytest.raises(OptionError, match=message):
        build_nr_metric(metric, **options)


def test_which_metrics_can_be_optimised(musiq):
    assert musiq.gives_gradient()
    assert build_nr_metric("natural_scene").gives_gradient()
    assert not build_nr_metric("piqe").gives_gradient()


def test_as_a_metric_of_option_files(photograph, musiq):
    image = photograph[60:164, 20:148, ::-1]
    rgb = torch.from_numpy(image[4:-4, 4:-4, ::-1].copy()).permute(2, 0, 1)[None].float() / 255
    given = {"img": image, "img2": image}
    found = calculate_metric(given, {"type": "calculate_nr_iqa", "metric": "natural_scene", "crop_border": 4})
    assert found == pytest.approx(build_nr_metric("natural_scene")(rgb).item(), rel=1e-5)
    found = calculate_nr_iqa(image, "musiq", MUSIQ, crop_border=4, device="cpu")
    assert found == pytest.approx(musiq(rgb).item(), abs=1e-5)
