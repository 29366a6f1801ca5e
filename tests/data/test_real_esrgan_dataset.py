import random
from itertools import product

from prismsr.data.degradation.kernel_options import RealESRGANMaskOptions
from prismsr.data.degradation.kernels import (
    KernelSettings,
    global_generators_from,
    random_blur_kernel,
    random_sinc_kernel,
)
from prismsr.data.images.raw_rows import encode_raw
from prismsr.data.loading.sampler import SampleIndex, sample_rng
from prismsr.utils.options.validation import validate_section

import cv2
import lmdb
import numpy as np
import pytest
import torch
from basicsr.data import build_dataset
from torch.utils.data import DataLoader

KINDS = ["iso", "aniso", "generalized_iso", "generalized_aniso", "plateau_iso", "plateau_aniso"]
KERNELS = {
    "blur_kernel_size": 21,
    "kernel_list": KINDS,
    "kernel_prob": [0.45, 0.25, 0.12, 0.03, 0.12, 0.03],
    "sinc_prob": 0.3,
    "blur_sigma": [0.2, 3],
    "betag_range": [0.5, 4],
    "betap_range": [1, 2],
    "blur_kernel_size2": 21,
    "kernel_list2": KINDS,
    "kernel_prob2": [0.45, 0.25, 0.12, 0.03, 0.12, 0.03],
    "sinc_prob2": 0.3,
    "blur_sigma2": [0.2, 1.5],
    "betag_range2": [0.5, 4],
    "betap_range2": [1, 2],
    "final_sinc_prob": 0.8,
}


@pytest.fixture
def roots(tmp_path, photograph):
    """Two photographs (one higher and narrower than 400, one smaller and grey) and their masks, and LMDBs of them."""
    images = [np.ascontiguousarray(photograph[..., ::-1].transpose(1, 0, 2)), photograph[:250, :200, 1]]
    for name in ("gt", "mask"):
        (tmp_path / name).mkdir()
    for number, image in enumerate(images):
        green = image[..., 1] if image.ndim == 3 else image
        cv2.imwrite(str(tmp_path / "gt" / f"{number}.png"), image)
        cv2.imwrite(str(tmp_path / "mask" / f"{number}.png"), np.where(green > 127, 255, 0).astype(np.uint8))
    for name in ("gt", "mask"):
        with lmdb.open(str(tmp_path / f"{name}.lmdb"), map_size=2**24) as env, env.begin(write=True) as transaction:
            for file in sorted((tmp_path / name).iterdir()):
                transaction.put(file.stem.encode(), file.read_bytes())
        with lmdb.open(str(tmp_path / f"{name}_raw.lmdb"), map_size=2**24) as env, env.begin(write=True) as transaction:
            for file in sorted((tmp_path / name).iterdir()):
                transaction.put(file.stem.encode(), encode_raw(cv2.imread(str(file), cv2.IMREAD_UNCHANGED)))
    (tmp_path / "meta_info.txt").write_text("0.png\n1.png\n")
    return tmp_path


def _options(roots, suffix="", **changes):
    return {
        "name": "test",
        "type": "RealESRGANMaskDataset",
        "dataroot_gt": str(roots / f"gt{suffix}"),
        "use_hflip": True,
        "use_rot": True,
        "phase": "train",
        "scale": 4,
        "manual_seed": 3,
        **KERNELS,
        **changes,
    }


def _assert_same(one, other):
    assert one.keys() == other.keys()
    for key in one:
        assert torch.equal(one[key], other[key]) if torch.is_tensor(one[key]) else one[key] == other[key], key


def test_same_items_as_basicsr(roots):
    """Bit for bit: flips, crop, border and kernels of BasicSR's dataset, from the same state of the generators."""
    ours = build_dataset(_options(roots))
    stock = build_dataset(
        {
            **_options(roots, type="RealESRGANDataset"),
            "meta_info": str(roots / "meta_info.txt"),
            "io_backend": {"type": "disk"},
        }
    )
    for draw in range(40):
        index = SampleIndex(draw % 2, epoch=1, draw=draw)
        with global_generators_from(sample_rng(3, index)):
            theirs = stock[index]
        item = ours[index]
        assert item.pop("gt_path") == f"{draw % 2}.png"
        theirs.pop("gt_path")
        _assert_same(item, theirs)
        assert item["gt"].shape == (3, 400, 400)


def _ldm_item(file, dataset, index, size):
    """GT and kernels by LDM's steps, one by one, on the whole flipped image, from the sample's random stream."""
    with global_generators_from(sample_rng(3, index)):
        image = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
        image = cv2.merge([image] * 3) if image.ndim == 2 else image
        horizontal, vertical, transpose = (random.random() < 0.5 for _ in range(3))
        image = cv2.flip(image, 1) if horizontal else image
        image = cv2.flip(image, 0) if vertical else image
        image = cv2.transpose(image) if transpose else image
        side = int(random.uniform(0.5, 1) * min(image.shape[:2]))
        top, left = random.randint(0, image.shape[0] - side), random.randint(0, image.shape[1] - side)
        square = image[top : top + side, left : left + side].copy()
        kernels = dataset.kernels.draw()
    resized = cv2.resize(square, (size, size), interpolation=cv2.INTER_AREA).astype(np.float32)
    gt = torch.from_numpy(cv2.cvtColor(resized, cv2.COLOR_BGR2RGB) / np.float32(np.iinfo(image.dtype).max))
    return {"gt": gt.permute(2, 0, 1), **kernels, "gt_path": f"{file.stem}.png"}, side


@pytest.mark.parametrize("size", [64, 256])
def test_ldm_crops_are_the_squares_that_were_drawn(roots, size):
    """Colour and grey, reduced and enlarged, flipped: bit for bit what LDM's steps on the whole image give."""
    dataset = build_dataset(_options(roots, crop="ldm", crop_pad_size=size))
    sides = []
    for draw in range(48):
        index = SampleIndex(draw % 2, epoch=1, draw=draw)
        expected, side = _ldm_item(roots / "gt" / f"{draw % 2}.png", dataset, index, size)
        _assert_same(dataset[index], expected)
        sides.append(side)
    assert min(sides) < 110 and max(sides) > 256


def test_ldm_crops_of_sixteen_bits(tmp_path):
    image = np.arange(64 * 80 * 3, dtype=np.uint16).reshape(64, 80, 3) * 4
    (tmp_path / "gt").mkdir()
    cv2.imwrite(str(tmp_path / "gt" / "0.png"), image)
    dataset = build_dataset(_options(tmp_path, crop="ldm", crop_pad_size=40))
    for draw in range(16):
        index = SampleIndex(0, epoch=0, draw=draw)
        expected, _ = _ldm_item(tmp_path / "gt" / "0.png", dataset, index, 40)
        _assert_same(dataset[index], expected)


def test_ldm_crops_do_not_depend_on_workers(roots):
    first = build_dataset(_options(roots, crop="ldm", crop_pad_size=64))
    second = build_dataset(_options(roots, ".lmdb", crop="ldm", crop_pad_size=64))
    indices = [SampleIndex(draw % 2, epoch=0, draw=draw) for draw in range(6)]
    with_workers = list(DataLoader(second, batch_size=None, sampler=indices, num_workers=2))
    for index, other in zip(indices, with_workers, strict=True):
        _assert_same(first[index], other)
    assert not torch.equal(first[indices[0]]["gt"], first[indices[2]]["gt"])


@pytest.mark.parametrize("suffix", [".lmdb", "_raw.lmdb"])
def test_lmdb_folder_and_workers_give_the_same(roots, suffix):
    first = build_dataset(_options(roots, dataroot_gt_mask=str(roots / "mask"), crop_pad_size=64))
    second = build_dataset(_options(roots, suffix, dataroot_gt_mask=str(roots / f"mask{suffix}"), crop_pad_size=64))
    indices = [SampleIndex(draw % 2, epoch=0, draw=draw) for draw in range(6)]
    with_workers = list(DataLoader(second, batch_size=None, sampler=indices, num_workers=2))
    random.seed(99)
    np.random.seed(99)
    for index, other in zip(indices, with_workers, strict=True):
        _assert_same(first[index], second[index])
        _assert_same(first[index], other)


def test_items_leave_the_global_generators_alone_and_differ(roots):
    dataset = build_dataset(_options(roots))
    random.seed(1)
    np.random.seed(1)
    expected = random.random(), np.random.rand()
    random.seed(1)
    np.random.seed(1)
    items = [dataset[SampleIndex(0, epoch=epoch, draw=0)] for epoch in (0, 1, 0)]
    assert (random.random(), np.random.rand()) == expected
    _assert_same(items[0], items[2])
    assert not torch.equal(items[0]["kernel1"], items[1]["kernel1"])
    other = build_dataset(_options(roots, manual_seed=4))[SampleIndex(0, epoch=0, draw=0)]
    assert not torch.equal(items[0]["kernel1"], other["kernel1"])


@pytest.mark.parametrize("size", [64, 400, None])
def test_mask_stays_on_its_image(roots, size):
    """The mask marks where the green channel is above 127, after every flip, crop and mirrored border."""
    dataset = build_dataset(_options(roots, dataroot_gt_mask=str(roots / "mask"), crop_pad_size=size))
    shapes = set()
    for draw in range(16):
        item = dataset[SampleIndex(draw % 2, epoch=0, draw=draw)]
        assert torch.equal(item["gt_mask"], (item["gt"][1:2] * 255 > 127.5).float())
        shapes.add(tuple(item["gt"].shape[1:]))
    assert shapes == ({(451, 300), (300, 451), (250, 200), (200, 250)} if size is None else {(size, size)})


def test_all_eight_symmetries_occur(roots, photograph):
    dataset = build_dataset(_options(roots, crop_pad_size=None))
    whole = torch.from_numpy(photograph.transpose(2, 1, 0).copy()).float() / 255
    seen = set()
    for draw in range(60):
        gt = dataset[SampleIndex(0, epoch=0, draw=draw)]["gt"]
        for flips in product((0, 1), repeat=3):
            image = whole.flip([axis for axis, flip in zip((1, 2), flips, strict=False) if flip])
            if torch.equal(image.transpose(1, 2) if flips[2] else image, gt):
                seen.add(flips)
    assert len(seen) == 8


def test_sixteen_bits(tmp_path):
    image = np.arange(64 * 64 * 3, dtype=np.uint16).reshape(64, 64, 3) * 5
    (tmp_path / "gt").mkdir()
    cv2.imwrite(str(tmp_path / "gt" / "0.png"), image)
    gt = build_dataset(_options(tmp_path, crop_pad_size=None, use_hflip=False, use_rot=False))[0]["gt"]
    expected = torch.from_numpy(image[..., ::-1].astype(np.float32).transpose(2, 0, 1) / np.float32(65535))
    assert torch.equal(gt, expected)


def test_one_order_of_small_kernels(roots):
    keys = [key for key in KERNELS if key.endswith("2") or key == "final_sinc_prob"]
    options = _options(roots, kernel_range=[3, 5], blur_kernel_size=9, **dict.fromkeys(keys))
    for key in keys:
        del options[key]
    dataset = build_dataset(options)
    sides = set()
    for draw in range(20):
        item = dataset[SampleIndex(1, epoch=0, draw=draw)]
        assert set(item) == {"gt", "kernel1", "gt_path"}
        assert item["kernel1"].shape == (9, 9)
        sides.add(int((item["kernel1"].abs().sum(0) > 0).sum()))
    assert max(sides) == 5


def test_kernels_sum_to_one_and_the_pulse_changes_nothing():
    settings = KernelSettings(21, [7, 21], KINDS, [1] * 6, [0.2, 3], [0.5, 4], [1, 2], 0.5)
    with global_generators_from(np.random.default_rng(0)):
        for _ in range(50):
            assert random_blur_kernel(settings).sum() == pytest.approx(1, abs=1e-5)
        assert random_sinc_kernel(settings, 1).sum() == pytest.approx(1, abs=1e-5)
        pulse = random_sinc_kernel(settings, 0)
    assert pulse[10, 10] == pulse.abs().sum() == 1


def test_missing_mask_and_wrong_size_are_named(roots):
    mask = roots / "mask" / "1.png"
    cv2.imwrite(str(mask), np.zeros((20, 30), np.uint8))
    options = _options(roots, dataroot_gt_mask=str(roots / "mask"))
    with pytest.raises(ValueError, match=r"mask.1\.png.*30x20"):
        build_dataset(options)[1]
    mask.unlink()
    with pytest.raises(ValueError, match=r"1 differ.*1\."):
        build_dataset(options)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kernel_prob": [1.0]}, "train.kernel_prob: must have as many entries as kernel_list, 6"),
        ({"kernel_prob2": [1.0, 2.0]}, "train.kernel_prob2: must have as many entries as kernel_list2, 6"),
        ({"kernel_list": ["iso", "skew"]}, "train.kernel_list.1: must be one of 'iso', 'aniso'"),
        ({"kernel_range": [8, 20]}, "train.kernel_range: must be [smallest, largest], both odd and at most"),
        ({"blur_kernel_size2": 9}, "train.kernel_range2: must be [smallest, largest], both odd and at most"),
        ({"blur_kernel_size": 20}, "train.blur_kernel_size: must be odd"),
        ({"blur_sigma2": [1, 1]}, "train.blur_sigma2: must be [lowest, highest], and not the same twice"),
        ({"sinc_prob2": None}, "train.sinc_prob2: is required with kernel_list2"),
        ({"final_sinc_prob": None}, "train.final_sinc_prob: is required with kernel_list2"),
        ({"final_sinc_prob": 1.5}, "train.final_sinc_prob: must be a number of at least 0 and of at most 1"),
        ({"crop": "lmd"}, "train.crop: must be one of 'plain', 'ldm'; got the text 'lmd'"),
        ({"crop": "ldm", "crop_pad_size": None}, "train.crop_pad_size: is required with crop: ldm"),
        ({"crop": "ldm", "dataroot_gt_mask": "x"}, "train.dataroot_gt_mask: does not go with crop: ldm"),
        ({"crop_pad": 400}, "train.crop_pad: unknown key; known: crop_pad_size"),
    ],
)
def test_wrong_options_are_told(changes, message):
    entry = {
        "name": "a", "type": "RealESRGANMaskDataset", "dataroot_gt": "x", "use_hflip": True, "use_rot": True,
        "num_worker_per_gpu": 1, "batch_size_per_gpu": 2, **KERNELS,
    }  # fmt: skip
    assert validate_section(RealESRGANMaskOptions, entry, "train", is_train=True) == []
    problems = validate_section(RealESRGANMaskOptions, {**entry, **changes}, "train", is_train=True)
    assert len(problems) == 1
    assert message in str(problems[0])


def test_ldm_crops_pass_the_check():
    entry = {
        "name": "a", "type": "RealESRGANMaskDataset", "dataroot_gt": "x", "dataroot_gt_mask": None, "use_hflip": True,
        "use_rot": False, "num_worker_per_gpu": 1, "batch_size_per_gpu": 2, **KERNELS, "crop": "ldm",
        "crop_pad_size": 256,
    }  # fmt: skip
    assert validate_section(RealESRGANMaskOptions, entry, "train", is_train=True) == []
