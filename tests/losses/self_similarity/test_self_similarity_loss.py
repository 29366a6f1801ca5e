import importlib.util
from pathlib import Path

from prismsr.losses.self_similarity import tiles as self_similarity_tiles
from prismsr.losses.self_similarity.self_similarity_loss import (
    SelfSimilarityLoss,
    edge_mask,
    self_similarity_graph,
    self_similarity_loss,
)
from prismsr.losses.self_similarity.sweep import Limits

import cv2
import numpy as np
import pytest
import torch
from basicsr.losses import build_loss
from PIL import Image
from torch.nn import functional as F

spec = importlib.util.spec_from_file_location("reference", Path(__file__).with_name("self_similarity_reference.py"))
reference = importlib.util.module_from_spec(spec)
spec.loader.exec_module(reference)

SETTINGS = {
    "release": {},
    "stride": {"stride": 3},
    "paper": {"stride": 3, "border": "image"},
    "image": {"border": "image", "alpha": 0.5},
    "mask_stride": {"mask_stride": 3},
    "other_sizes": {"search": 13, "window": 5, "stride": 2, "border": "image", "alpha": 3.0, "h": 0.01},
    "window_fills_search": {"search": 7, "window": 7, "mask_stride": 2},
    "single_pixels": {"search": 5, "window": 1, "alpha": 0.0},
    "coarse": {"search": 11, "window": 3, "stride": 4},
    "only_l1": {"search": 9, "window": 3, "kl_weight": 0.0},
    "centre_alone": {"search": 3, "window": 3, "stride": 2},
}
TINY = {
    "tiles_and_chunks": Limits(area=2000, pixels=7, work=900),
    "one_unit_in_blocks": Limits(area=1 << 20, pixels=1 << 20, work=1 << 18),
    "small_blocks": Limits(area=6000, pixels=50, work=30000),
}


@pytest.fixture
def one_thread():
    """For thousands of tiny calls, which otherwise wait for threads that a busy machine does not run."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def photographs(photograph_tensor, count=3, height=40, width=33):
    """Crops as ground truth, a blurred copy as SR."""
    gt = torch.cat([photograph_tensor[:, :, 60 + 20 * i :, 90 + 60 * i :][:, :, :height, :width] for i in range(count)])
    sr = F.interpolate(F.avg_pool2d(gt, 2), size=(height, width), mode="bicubic", align_corners=False)
    return sr, gt


def corners_and_some(sr):
    """Corners and about 40 pixels in the first image, none in the second, one pixel in the last."""
    torch.manual_seed(0)
    mask = torch.rand(sr.shape[0], 1, *sr.shape[2:]) < 0.03
    mask[0, 0, [0, 0, -1, -1], [0, -1, 0, -1]] = True
    mask[1] = False
    mask[2] = False
    mask[2, 0, 5, 7] = True
    mask[2, 0, 3, 3] = True
    return mask


def value_and_gradient(function, sr, *inputs, **options):
    sr = sr.clone().requires_grad_()
    value = function(sr, *inputs, **options)
    value.backward()
    return value.detach(), sr.grad


def relative(result, expected):
    scale = expected.abs().max().clamp_min(1e-12)
    return ((result - expected).abs().max() / scale).item()


@pytest.mark.parametrize("options", SETTINGS.values(), ids=SETTINGS)
def test_value_and_gradient_equal_the_unfolded_reference(photograph_tensor, options):
    sr, gt = (image.double() for image in photographs(photograph_tensor))
    mask = corners_and_some(sr)
    expected, expected_grad = value_and_gradient(reference.reference_loss, sr, gt, mask, **options)
    # A distance sums 243 terms: float32 has it to 243 * 2^-24 = 1.4e-5, and exp(-x) takes 1 / e of that, in two graphs.
    for kind, tolerance in ((torch.float64, 1e-12), (torch.float32, 1e-5)):
        value, grad = value_and_gradient(self_similarity_loss, sr.to(kind), gt.to(kind), mask, **options)
        assert value.dtype == kind
        assert relative(value, expected) < tolerance
        assert relative(grad, expected_grad) < tolerance
        assert not grad[1].any()


def test_edge_masks_of_a_photograph(photograph_tensor):
    sr, gt = (image.double() for image in photographs(photograph_tensor, count=2, height=44, width=50))
    value, grad = value_and_gradient(self_similarity_loss, sr, gt, mask_stride=3)
    expected, expected_grad = value_and_gradient(reference.reference_loss, sr, gt, edge_mask(gt), mask_stride=3)
    assert relative(value, expected) < 1e-10
    assert relative(grad, expected_grad) < 1e-10


@pytest.mark.parametrize("limits", TINY.values(), ids=TINY)
@pytest.mark.parametrize("options", [{}, {"stride": 3, "border": "image"}], ids=["zero", "image"])
def test_chunks_change_nothing(photograph_tensor, monkeypatch, limits, options):
    sr, gt = (image.double() for image in photographs(photograph_tensor, height=44, width=37))
    mask, options = corners_and_some(sr), {"search": 15, "window": 7, **options}
    value, grad = value_and_gradient(self_similarity_loss, sr, gt, mask, **options)
    graphs = self_similarity_graph(sr, mask, **options)
    monkeypatch.setitem(self_similarity_tiles.LIMITS, "cpu", limits)
    chunked, chunked_grad = value_and_gradient(self_similarity_loss, sr, gt, mask, **options)
    torch.testing.assert_close(chunked, value, rtol=1e-10, atol=0)
    torch.testing.assert_close(chunked_grad, grad, rtol=1e-8, atol=1e-16)
    for chunk, graph in zip(self_similarity_graph(sr, mask, **options), graphs, strict=True):
        torch.testing.assert_close(chunk, graph, rtol=1e-10, atol=1e-16)


def test_threads_change_no_bit(photograph_tensor, one_thread):
    sr, gt = (image.repeat(8, 1, 1, 1) for image in photographs(photograph_tensor, height=48, width=48))
    value, grad = value_and_gradient(self_similarity_loss, sr, gt, search=9, window=5)
    torch.set_num_threads(3)
    threaded, threaded_grad = value_and_gradient(self_similarity_loss, sr, gt, search=9, window=5)
    assert torch.equal(value, threaded)
    assert torch.equal(grad, threaded_grad)


def naive_row(image, y, x, search, window, h):
    """The released rule for one pixel, spelt out: beyond the search area a window's sample is 0."""
    radius, rim = search // 2, window // 2
    area = np.pad(image, ((radius, radius), (radius, radius), (0, 0)), mode="reflect")
    area = area[y : y + search, x : x + search]
    row = np.zeros((search, search))
    for qy in range(search):
        for qx in range(search):
            for uy in range(-rim, rim + 1):
                for ux in range(-rim, rim + 1):
                    sy, sx = qy + uy, qx + ux
                    sample = area[sy, sx] if 0 <= sy < search and 0 <= sx < search else 0
                    row[qy, qx] += np.sum((area[radius + uy, radius + ux] - sample) ** 2)
    row = np.exp(-row / (image.shape[2] * window**2) / h)
    return (row / (row.sum() + 1e-10)).flatten()


def test_graph_equals_loops_at_a_few_pixels(photograph_tensor):
    image = photograph_tensor[:, :, 100:130, 200:224].double()
    pixels = [(0, 0), (3, 23), (15, 11), (29, 1)]
    mask = torch.zeros(1, 1, 30, 24, dtype=torch.bool)
    for y, x in pixels:
        mask[0, 0, y, x] = True
    (graph,) = self_similarity_graph(image, mask, search=13, window=5)
    assert graph.shape == (4, 169)
    plain = image[0].permute(1, 2, 0).numpy()
    for row, (y, x) in zip(graph, pixels, strict=True):
        np.testing.assert_allclose(row.numpy(), naive_row(plain, y, x, 13, 5, 0.004), rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("options", [{}, {"border": "image"}, {"stride": 3}], ids=["zero", "image", "stride"])
def test_graph_equals_the_reference(photograph_tensor, options):
    sr = photographs(photograph_tensor)[0].double()
    mask = corners_and_some(sr)
    graphs = self_similarity_graph(sr, mask, **options)
    assert [len(graph) for graph in graphs] == mask.flatten(1).sum(1).tolist()
    for image, chosen, graph in zip(sr.split(1), mask.split(1), graphs, strict=True):
        expected = reference.reference_graph(image, chosen, **options)
        torch.testing.assert_close(graph, expected)
        torch.testing.assert_close(graph.sum(1), torch.ones(len(graph), dtype=torch.float64), rtol=0, atol=1e-9)


@pytest.mark.parametrize("options", [{}, {"border": "image"}, {"stride": 2}], ids=["zero", "image", "stride"])
def test_gradcheck(options, one_thread):
    torch.manual_seed(0)
    options = {"search": 5, "window": 3, **options}
    gt = torch.rand(2, 2, 6, 7, dtype=torch.float64) * 0.2
    sr = (gt + torch.randn_like(gt) * 0.05).requires_grad_()
    mask = torch.rand(2, 1, 6, 7) < 0.15
    assert mask.flatten(1).any(1).all()
    assert torch.autograd.gradcheck(lambda image: self_similarity_loss(image, gt, mask, reduction="sum", **options), sr)
    assert torch.autograd.gradcheck(lambda image: torch.cat(self_similarity_graph(image, mask, **options)), sr)


def test_equal_images_cost_nothing_and_worse_ones_more(photograph_tensor):
    sr, gt = photographs(photograph_tensor)
    same, better, worse = (self_similarity_loss(image, gt) for image in (gt, (sr + gt) / 2, sr))
    assert same == 0
    assert 0 < better < worse


def test_without_a_mask_pixel_the_loss_is_0_and_backward_works(photograph_tensor):
    sr, gt = photographs(photograph_tensor)
    mask = torch.zeros(3, 1, *sr.shape[2:], dtype=torch.bool)
    value, grad = value_and_gradient(self_similarity_loss, sr, gt, mask)
    assert value == 0
    assert not grad.any()
    assert [graph.shape for graph in self_similarity_graph(sr, mask)] == [(0, 625)] * 3


def test_gt_gets_no_gradient(photograph_tensor):
    sr, gt = photographs(photograph_tensor)
    sr, gt = sr.requires_grad_(), gt.requires_grad_()
    self_similarity_loss(sr, gt, search=7, window=3).backward()
    assert gt.grad is None
    assert sr.grad.any()


def test_without_gradients_before_training(photograph_tensor):
    sr, gt = photographs(photograph_tensor)
    with torch.inference_mode():
        inferred = self_similarity_loss(sr, gt, search=7, window=3)
    with torch.no_grad():
        assert not self_similarity_loss(sr.requires_grad_(), gt, search=7, window=3).requires_grad
    value, grad = value_and_gradient(self_similarity_loss, sr.detach(), gt, search=7, window=3)
    assert value == inferred
    assert grad.any()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_computes_in_float32(photograph_tensor, dtype):
    sr, gt = (image.to(dtype) for image in photographs(photograph_tensor))
    mask = corners_and_some(sr)
    value, grad = value_and_gradient(self_similarity_loss, sr, gt, mask)
    expected, expected_grad = value_and_gradient(self_similarity_loss, sr.float(), gt.float(), mask)
    assert value == expected
    assert grad.dtype == dtype
    assert torch.equal(grad, expected_grad.to(dtype))


def test_autocast_changes_nothing(photograph_tensor):
    sr, gt = photographs(photograph_tensor)
    plain = value_and_gradient(self_similarity_loss, sr, gt)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = value_and_gradient(self_similarity_loss, sr, gt)
        graphs = self_similarity_graph(sr, edge_mask(gt))
    assert torch.equal(plain[0], cast[0])
    assert torch.equal(plain[1], cast[1])
    assert torch.equal(graphs[0], self_similarity_graph(sr, edge_mask(gt))[0])


def test_module_equals_function(photograph_tensor):
    sr, gt = photographs(photograph_tensor)
    options = {"search": 9, "window": 3, "h": 0.01, "stride": 2, "border": "image", "alpha": 0.3, "mask_stride": 2}
    options |= {"kl_weight": 0.7, "reduction": "sum"}
    loss = build_loss(
        {"type": "SelfSimilarityLoss", "loss_weight": 1000.0, "threshold": 8.0, "absolute": True, **options}
    )
    assert isinstance(loss, SelfSimilarityLoss)
    assert loss.inputs == ("sr", "gt", "gt_mask")
    mask = edge_mask(gt, 8.0, absolute=True)
    expected = 1000 * self_similarity_loss(sr, gt, mask, **options)
    assert expected > 0
    assert loss(sr, gt) == expected
    assert loss(sr, gt, mask.float()) == expected


def test_no_mask_means_edges_of_gt(photograph_tensor):
    sr, gt = photographs(photograph_tensor)
    assert self_similarity_loss(sr, gt, search=9) == self_similarity_loss(sr, gt, edge_mask(gt), search=9)


def test_reduction_sum_is_k_times_the_mean(photograph_tensor):
    sr, gt = photographs(photograph_tensor)
    mean, total = (self_similarity_loss(sr, gt, stride=3, reduction=reduction) for reduction in ("mean", "sum"))
    torch.testing.assert_close(total, 81 * mean)


@pytest.mark.parametrize("absolute", [False, True])
@pytest.mark.parametrize("threshold", [0.0, 7.5, 20.0, 255.0])
def test_edge_mask_equals_pillow_and_opencv(photograph, photograph_tensor, threshold, absolute):
    grey = np.asarray(Image.fromarray(photograph).convert("L"))
    signed, cut_off = cv2.Laplacian(grey, cv2.CV_16S), cv2.Laplacian(grey, cv2.CV_8U)
    laplacian = np.abs(signed).clip(0, 255) if absolute else cut_off
    mask = edge_mask(torch.cat([photograph_tensor, photograph_tensor.flip(3)]), threshold, absolute)
    assert mask.shape == (2, 1, *photograph.shape[:2])
    assert mask.dtype == torch.bool
    np.testing.assert_array_equal(mask[0, 0].numpy(), laplacian > threshold)
    assert torch.equal(mask[1], mask[0].flip(2))


def test_edge_mask_of_extreme_colours():
    torch.manual_seed(0)
    image = np.random.default_rng(0).choice(np.array([0, 1, 254, 255], dtype=np.uint8), (24, 31, 3))
    laplacian = cv2.Laplacian(np.asarray(Image.fromarray(image).convert("L")), cv2.CV_8U)
    tensor = torch.from_numpy(image).permute(2, 0, 1)[None].double() / 255
    np.testing.assert_array_equal(edge_mask(tensor)[0, 0].numpy(), laplacian > 20)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"search": 24}, r"search: got 24; allowed: odd numbers from 1"),
        ({"window": 4}, r"window: got 4; allowed: odd numbers from 1 to search = 25"),
        ({"search": 7, "window": 9}, r"window: got 9; allowed: odd numbers from 1 to search = 7"),
        ({"h": 0.0}, r"h: got 0\.0; allowed: above 0"),
        ({"stride": 0}, r"stride: got 0; allowed: whole numbers from 1"),
        ({"mask_stride": 0}, r"mask_stride: got 0; allowed: whole numbers from 1"),
        ({"border": "reflect"}, r"border: got 'reflect'; allowed: 'zero', 'image'"),
        ({"reduction": "none"}, r"reduction: got 'none'; allowed: 'mean', 'sum'"),
        ({"mask": torch.ones(3, 1, 40, 40)}, r"mask: got shape \(3, 1, 40, 40\); allowed: \(3, 1, 40, 33\)"),
        ({"mask": torch.ones(40, 33)}, r"mask: got shape \(40, 33\); allowed: \(3, 1, 40, 33\)"),
        ({"gt": torch.ones(3, 3, 40, 40)}, r"gt: got shape \(3, 3, 40, 40\); allowed: that of sr, \(3, 3, 40, 33\)"),
        ({"sr": torch.ones(3, 40, 33)}, r"sr: got shape \(3, 40, 33\) of torch\.float32; allowed: \(B, C, H, W\)"),
        ({"sr": torch.ones(3, 3, 40, 33).int()}, r"sr: got shape .* of torch\.int32; allowed: .* float"),
        ({"search": 67}, r"sr: got 40x33 pixels; allowed: sides above 33"),
        ({"search": 61, "border": "image"}, r"sr: got 40x33 pixels; allowed: sides above 34"),
    ],
)
def test_wrong_input_is_named(photograph_tensor, options, message):
    sr, gt = photographs(photograph_tensor)
    with pytest.raises(ValueError, match=message):
        self_similarity_loss(**{"sr": sr, "gt": gt, **options})


def test_module_refuses_wrong_options_when_built():
    with pytest.raises(ValueError, match="search: got 10"):
        SelfSimilarityLoss(search=10)
    with pytest.raises(ValueError, match="mask_stride: got 0"):
        SelfSimilarityLoss(mask_stride=0)


def test_edge_mask_of_grey_is_that_of_equal_colours(photograph_tensor):
    grey = photograph_tensor[:, 1:2]
    assert torch.equal(edge_mask(grey), edge_mask(grey.expand(-1, 3, -1, -1)))


def test_edge_mask_refuses_what_is_no_batch_of_images():
    for wrong in (
        torch.zeros(3, 8, 8),
        torch.zeros(1, 2, 8, 8),
        torch.zeros(1, 3, 8, 8).int(),
        torch.zeros(1, 3, 1, 8),
    ):
        with pytest.raises(ValueError, match="gt: got shape"):
            edge_mask(wrong)
