import multiprocessing
import random
import re
from itertools import islice, product

from prismsr.data.images.source import ImageSourceError, close_lmdb
from prismsr.data.loading.loaders import create_train_loader
from prismsr.data.loading.sampler import SampleIndex, sample_rng
from prismsr.utils.images import ImageReadError

import cv2
import lmdb
import numpy as np
import pytest
import torch
from basicsr.data import build_dataset

SCALE = 4


@pytest.fixture
def roots(tmp_path, photograph):
    """Three photographs' parts as GT, LQ and mask folders, and the same as LMDBs."""
    folders = {name: tmp_path / name for name in ("gt", "lq", "mask")}
    for folder in folders.values():
        folder.mkdir()
    for number, (top, left) in enumerate([(0, 0), (60, 100), (120, 200)]):
        gt = photograph[top : top + 96, left : left + 120, ::-1]
        mask = np.where(gt[..., :1] > 128, 255, 0).astype(np.uint8)
        for name, image in (("gt", gt), ("lq", gt[::SCALE, ::SCALE]), ("mask", mask)):
            cv2.imwrite(str(folders[name] / f"{number}.png"), image)
    lmdbs = {name: _pack(folder, tmp_path / f"{name}.lmdb") for name, folder in folders.items()}
    return folders, lmdbs


def _pack(folder, path):
    """An LMDB in BasicSR's layout, made here without our own tool."""
    with lmdb.open(str(path), map_size=2**24) as env, env.begin(write=True) as transaction:
        lines = []
        for file in sorted(folder.iterdir()):
            transaction.put(file.stem.encode(), file.read_bytes())
            lines.append(f"{file.name} ({','.join(map(str, cv2.imread(str(file), -1).shape))}) 1\n")
    (path / "meta_info.txt").write_text("".join(lines))
    return path


def _options(roots, **changes):
    opt = {
        "name": "test",
        "type": "PairedImageMaskDataset",
        "dataroot_gt": str(roots["gt"]),
        "dataroot_lq": str(roots["lq"]),
        "dataroot_gt_mask": str(roots["mask"]),
        "gt_size": 32,
        "use_hflip": True,
        "use_rot": True,
        "num_worker_per_gpu": 0,
        "batch_size_per_gpu": 2,
        "scale": SCALE,
        "phase": "train",
        "manual_seed": 3,
    }
    return {**opt, **changes}


def _batches(opt, epochs=2):
    run = {"num_gpu": 0, "dist": False, "world_size": 1, "rank": 0, "manual_seed": opt["manual_seed"]}
    loader = create_train_loader({**opt, "dataset_enlarge_ratio": 4}, run)
    return [batch.data for batch in islice(loader, epochs * len(loader))]


def _assert_same(first, second):
    assert len(first) == len(second) > 0
    for one, other in zip(first, second, strict=True):
        assert one.keys() == other.keys()
        assert all(torch.equal(one[k], other[k]) if torch.is_tensor(one[k]) else one[k] == other[k] for k in one)


def test_lmdb_and_folder_give_identical_batches(roots):
    folders, lmdbs = roots
    first = _batches(_options(folders))
    assert first[0]["gt"].shape == (2, 3, 32, 32)
    _assert_same(first, _batches(_options(lmdbs)))


def test_uncompressed_lmdb_gives_identical_batches_or_names_the_damaged_value(roots, prepare_tool, tmp_path):
    folders, _ = roots
    raw = {name: tmp_path / f"raw_{name}.lmdb" for name in folders}
    for name, folder in folders.items():
        line = ["lmdb", "-i", folder, "-o", raw[name], "--store", "raw", "--workers", "1"]
        assert prepare_tool.main([str(part) for part in line]) == 0
    _assert_same(_batches(_options(folders)), _batches(_options(raw)))
    item, expected = (build_dataset(_options(kind, phase="val"))[1] for kind in (raw, folders))
    _assert_same([item], [expected])
    close_lmdb(raw["gt"])
    data = bytearray((raw["gt"] / "data.mdb").read_bytes())
    row = cv2.imread(str(folders["gt"] / "1.png"))[50].tobytes()  # in every crop of 64 of the 96 rows
    data[data.index(row) + 200] ^= 4
    (raw["gt"] / "data.mdb").write_bytes(data)
    damaged = build_dataset(_options(raw, gt_size=64))
    damaged[SampleIndex(0, epoch=0, draw=0)]
    with pytest.raises(ImageReadError, match=r"raw_gt\.lmdb, key 1: damaged, row 50 "):
        damaged[SampleIndex(1, epoch=0, draw=1)]
    assert prepare_tool.main(["verify", str(raw["gt"]), "--workers", "1"]) == 1


@pytest.mark.parametrize(("method", "count"), [("fork", 2), ("spawn", 1)])
def test_batches_do_not_depend_on_workers(roots, method, count):
    _, lmdbs = roots
    before = multiprocessing.get_start_method()
    multiprocessing.set_start_method(method, force=True)
    try:
        with_workers = _batches(_options(lmdbs, num_worker_per_gpu=count), epochs=1)
    finally:
        multiprocessing.set_start_method(before, force=True)
    random.seed(99)
    np.random.seed(99)
    _assert_same(with_workers, _batches(_options(lmdbs), epochs=1))


def test_crop_flips_and_mask_stay_aligned(roots):
    """Each crop is found in its image under exactly one of the eight symmetries, LQ and mask at the same place."""
    folders, _ = roots
    dataset = build_dataset(_options(folders))
    whole = build_dataset(_options(folders, phase="val"))
    seen = set()
    for draw in range(60):
        item = dataset[SampleIndex(draw % 3, epoch=0, draw=draw)]
        image = whole[draw % 3]
        found = [symmetry for symmetry in product((0, 1), repeat=3) if _occurs(item, image, *symmetry)]
        assert len(found) == 1
        seen.update(found)
    assert len(seen) == 8


def _occurs(item, image, horizontal, vertical, transpose):
    """Whether the sample, its symmetry undone, is a part of the image, at one place for GT, LQ and mask."""
    parts = {}
    for name in ("gt", "lq", "gt_mask"):
        part = item[name].transpose(1, 2) if transpose else item[name]
        parts[name] = part.flip([axis for axis, flip in ((1, vertical), (2, horizontal)) if flip])
    side = parts["lq"].shape[-1]
    for top, left in product(range(image["lq"].shape[1] - side + 1), range(image["lq"].shape[2] - side + 1)):
        y, x, large = top * SCALE, left * SCALE, side * SCALE
        if torch.equal(image["gt"][:, y : y + large, x : x + large], parts["gt"]):
            assert torch.equal(image["lq"][:, top : top + side, left : left + side], parts["lq"])
            assert torch.equal(image["gt_mask"][:, y : y + large, x : x + large], parts["gt_mask"])
            return True
    return False


def test_values_are_rgb_in_unit_range(roots, photograph):
    folders, _ = roots
    item = build_dataset(_options(folders, phase="val"))[0]
    expected = torch.from_numpy(photograph[:96, :120].copy()).permute(2, 0, 1).float() / 255
    assert torch.equal(item["gt"], expected)
    assert item["lq_path"] == "0.png"


def test_validation_crops_gt_to_the_lq_image(roots):
    folders, _ = roots
    cv2.imwrite(str(folders["lq"] / "0.png"), np.zeros((20, 25, 3), np.uint8))
    item = build_dataset(_options(folders, phase="val", dataroot_gt_mask=None))[0]
    assert item["gt"].shape == (3, 80, 100)
    assert "gt_mask" not in item


def test_mean_and_std(roots):
    folders, _ = roots
    plain = build_dataset(_options(folders, phase="val"))[1]
    normed = build_dataset(_options(folders, phase="val", mean=[0.5] * 3, std=[0.25] * 3))[1]
    torch.testing.assert_close(normed["lq"], (plain["lq"] - 0.5) / 0.25)


def test_missing_partner_is_named(roots):
    folders, _ = roots
    (folders["lq"] / "1.png").unlink()
    with pytest.raises(ValueError, match=r"1 differ.*1\."):
        build_dataset(_options(folders))


def test_wrong_size_is_named(roots):
    folders, _ = roots
    cv2.imwrite(str(folders["lq"] / "0.png"), np.zeros((23, 30, 3), np.uint8))
    with pytest.raises(ValueError, match=r"0\.png.*120x96.*120x92"):
        build_dataset(_options(folders, dataroot_gt_mask=None))[0]


def test_image_smaller_than_the_crop_is_named(roots):
    folders, _ = roots
    with pytest.raises(ValueError, match=r"0\.png.*30x24"):
        build_dataset(_options(folders, gt_size=100))[0]


@pytest.mark.parametrize("png_filter", [cv2.IMWRITE_PNG_FILTER_SUB, cv2.IMWRITE_PNG_ALL_FILTERS])
def test_a_crop_is_cut_from_the_whole_images_values(roots, png_filter):
    """The values of a training item, without flips, are those of the validation item at the same place."""
    folders, _ = roots
    for path in [*folders["gt"].iterdir(), *folders["lq"].iterdir(), *folders["mask"].iterdir()]:
        cv2.imwrite(str(path), cv2.imread(str(path), -1), [cv2.IMWRITE_PNG_FILTER, png_filter])
    dataset = build_dataset(_options(folders, use_hflip=False, use_rot=False))
    whole = build_dataset(_options(folders, phase="val"))
    places = set()
    for draw in range(24):
        index = SampleIndex(draw % 3, epoch=1, draw=draw)
        rng = sample_rng(3, index)
        top, left = rng.integers(24 - 8 + 1), rng.integers(30 - 8 + 1)
        item, image = dataset[index], whole[draw % 3]
        places.add((top, left))
        assert torch.equal(item["lq"], image["lq"][:, top : top + 8, left : left + 8])
        y, x = SCALE * top, SCALE * left
        for name in ("gt", "gt_mask"):
            assert torch.equal(item[name], image[name][:, y : y + 32, x : x + 32])
    assert len(places) > 10


def test_grey_16_bit_and_alpha_images(roots):
    folders, _ = roots
    colour = cv2.imread(str(folders["gt"] / "0.png"))
    grey = colour[..., 0]
    kinds = {
        "grey": (grey, grey),
        "deep": (grey.astype(np.uint16) * 257, grey),
        "alpha": (np.dstack([colour, grey]), colour),
    }
    for stored, expected in kinds.values():
        cv2.imwrite(str(folders["gt"] / "0.png"), stored)
        item = build_dataset(_options(folders, phase="val"))[0]
        rgb = np.dstack([expected] * 3) if expected.ndim == 2 else expected[..., ::-1]
        torch.testing.assert_close(item["gt"], torch.from_numpy(rgb.copy()).permute(2, 0, 1).float() / 255)
        assert build_dataset(_options(folders))[SampleIndex(0, 0, 0)]["gt"].shape == (3, 32, 32)


def test_undecodable_file_is_named(roots):
    folders, _ = roots
    (folders["gt"] / "0.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"gt.0\.png"):
        build_dataset(_options(folders))[0]


@pytest.fixture
def marked(roots):
    """The same folders with LQ images called 0x4.png and so on, as DIV2K's are."""
    folders, _ = roots
    for path in sorted(folders["lq"].iterdir()):
        path.rename(path.with_stem(f"{path.stem}x4"))
    return folders


@pytest.mark.parametrize("suffix", ["", ".lmdb"])
def test_lq_images_are_found_by_the_template(roots, suffix):
    folders, _ = roots
    plain = _batches(_options(folders), epochs=1)
    for path in sorted(folders["lq"].iterdir()):
        path.rename(path.with_stem(f"{path.stem}x4"))
    lq = _pack(folders["lq"], folders["lq"].with_name("marked.lmdb")) if suffix else folders["lq"]
    _assert_same(plain, _batches(_options({**folders, "lq": lq}, filename_tmpl="{}x4"), epochs=1))


@pytest.mark.parametrize(("given", "wanted"), [("{}", "'{}x4'"), ("{}x2", "'{}x4'")])
def test_a_near_miss_of_the_template_is_told(marked, given, wanted):
    with pytest.raises(
        ImageSourceError, match=re.escape(f"0 has no partner, but there is 0x4: set filename_tmpl: {wanted}")
    ):
        build_dataset(_options(marked, filename_tmpl=given))


def test_an_image_that_does_not_fit_the_template_is_named(marked):
    (marked["lq"] / "other.png").write_bytes((marked["lq"] / "0x4.png").read_bytes())
    with pytest.raises(ImageSourceError, match=r"other: its name does not fit filename_tmpl"):
        build_dataset(_options(marked, filename_tmpl="{}x4"))


def test_luminance_is_basicsrs(roots):
    folders, _ = roots
    own = build_dataset(_options(folders, phase="val", color="y"))
    stock = _options(folders, phase="val", color="y", type="PairedImageDataset", io_backend={"type": "disk"})
    by_path = sorted(build_dataset(stock), key=lambda item: item["lq_path"])  # BasicSR's are in the folder's order
    for mine, other in zip(own, by_path, strict=True):
        for name in ("lq", "gt"):
            assert mine[name].shape[0] == 1 and torch.equal(mine[name], other[name])
        assert torch.equal(mine["gt_mask"] * 0, torch.zeros(1, 96, 120))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_grey_files_keep_their_values_and_colour_copies_give_the_same(roots, dtype):
    folders, _ = roots
    grey = np.arange(24 * 30, dtype=dtype).reshape(24, 30)
    for name, image in (("0", grey), ("1", np.dstack([grey] * 3))):
        cv2.imwrite(str(folders["lq"] / f"{name}.png"), image)
    one, other = islice(build_dataset(_options(folders, phase="val", color="gray", mean=[0.5], std=[0.5])), 2)
    expected = torch.from_numpy(grey.astype(np.float32) / np.iinfo(dtype).max)[None]
    torch.testing.assert_close(one["lq"] / 2 + 0.5, expected)
    assert torch.equal(one["lq"], other["lq"])
