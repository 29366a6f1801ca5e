import csv
import shutil
from collections import Counter

from prismsr.data.images.source import ImageSourceError
from prismsr.data.loading.sampler import SampleIndex, SeededBatchSampler
from prismsr.data.multi_gt.draws import NEGATIVE as REJECTED
from prismsr.data.multi_gt.draws import POSITIVE as PREFERRED
from prismsr.data.multi_gt.draws import VersionDraws, judge_versions
from prismsr.data.multi_gt.groups import Groups
from prismsr.data.multi_gt.labels import Label
from prismsr.utils.errors import DataError

import cv2
import multi_gt_case as case
import numpy as np
import pytest
import torch
from basicsr.data import build_dataset
from scipy.stats import chisquare
from torch.utils.data import DataLoader

FIRST, SIMILAR, NEGATIVE, POSITIVE = "0001-288-0", "0002.5-0-16", "a b-1-1", "ü%20-1-1"


@pytest.fixture(scope="module")
def root(tmp_path_factory, prepare_tool):
    """HGGT's layout: images/0-3 and labels/0-3, an LMDB and a CSV of them, and a score file."""
    root = tmp_path_factory.mktemp("HGGT")
    case.write_images(root / "images" / "0-3")
    case.write_labels(root / "labels" / "0-3")
    case.write_scores(root / "scores.csv")
    prepare = prepare_tool.main
    for store in ("png", "raw"):
        line = ["-i", str(root / "images/0-3"), "-o", str(root / f"{store}.lmdb"), "--store", store, "--workers", "1"]
        assert prepare(["lmdb", *line]) == 0
    assert prepare(["labels", "-i", str(root / "labels/0-3"), "-o", str(root / "labels.csv")]) == 0
    return root


def _options(root, sampling, **changes):
    return {
        "name": "test",
        "type": "MultiGTDataset",
        "dataroot_gt": str(root / "images" / "0-3"),
        "dataroot_labels": str(root / "labels" / "0-3"),
        "sampling": sampling,
        "use_hflip": True,
        "use_rot": True,
        "crop_pad_size": 8,
        "phase": "train",
        "scale": 4,
        "manual_seed": 3,
        **case.KERNELS,
        **changes,
    }


def _assert_same(one, other):
    assert one.keys() == other.keys()
    for key in one:
        assert torch.equal(one[key], other[key]) if torch.is_tensor(one[key]) else one[key] == other[key], key


def _names(dataset):
    return [dataset[index]["gt_path"].removesuffix(".png") for index in range(len(dataset))]


# ------------------------------------------------------------------------------------------------ which groups


@pytest.mark.parametrize(
    ("sampling", "negatives", "expected"),
    [
        ("origins_only", False, case.NAMES),
        ("sma", False, case.NAMES),
        ("amo", False, case.NAMES),
        ("upos", False, [FIRST, POSITIVE]),
        ("smp", False, [FIRST, POSITIVE]),
        ("upos", True, [FIRST, NEGATIVE, POSITIVE]),
        ("sma", True, [FIRST, NEGATIVE, POSITIVE]),
    ],
)
def test_groups_of_each_rule(root, sampling, negatives, expected):
    assert _names(build_dataset(_options(root, sampling, negatives=negatives))) == expected


def test_labels_are_not_read_where_no_rule_needs_them(root):
    dataset = build_dataset(_options(root, "amo", dataroot_labels=str(root / "none")))
    assert len(dataset) == 4


# ------------------------------------------------------------------------------------------------ the draws


def _expected(sampling, name):
    """The formula of each rule, by version."""
    positive = [text.startswith("Positive") for text in ["Original", *case.LABELS[name]]]
    quality, inside = case.SCORES[name], [True] * 5 if sampling in ("sma", "amo") else positive
    if sampling == "amo":
        return [float(index == quality.index(max(quality))) for index in range(5)]
    weights = [2.718281828459045 ** (q / 10) if sampling in ("sma", "smp") else 1.0 for q in quality]
    weights = [weight * allowed for weight, allowed in zip(weights, inside, strict=True)]
    return [weight / sum(weights) for weight in weights]


@pytest.mark.parametrize("sampling", ["upos", "sma", "smp", "amo"])
def test_items_are_drawn_by_the_formula(root, sampling):
    """Through the whole item: what is chosen is told by its colour."""
    scores = {} if sampling == "upos" else {"scores": str(root / "scores.csv")}
    dataset = build_dataset(_options(root, sampling, **scores))
    for row, name in enumerate(_names(dataset)):
        seen = Counter()
        count = 40 if sampling == "amo" else 400
        for draw in range(count):
            item = dataset[SampleIndex(row, epoch=row, draw=draw)]
            assert item["gt_versions"].shape == (1, 3, 8, 8) and "gt_candidates" not in item
            assert case.version_of(item["gt"], name) == "original"
            seen[case.version_of(item["gt_versions"][0], name)] += 1
        expected = np.array(_expected(sampling, name)) * count
        counts = np.array([seen[version] for version in case.VERSIONS])
        assert not counts[expected == 0].any()
        drawn = expected > 0
        assert drawn.sum() == 1 or chisquare(counts[drawn], expected[drawn]).pvalue > 0.01


def test_originals_only(root):
    dataset = build_dataset(_options(root, "origins_only"))
    for draw in range(8):
        item = dataset[SampleIndex(draw % 4, epoch=0, draw=draw)]
        assert torch.equal(item["gt_versions"][0], item["gt"])


def test_all_versions_where_the_model_chooses(root):
    for sampling in ("sma", "amo", "smp"):
        dataset = build_dataset(_options(root, sampling))
        for row, name in enumerate(_names(dataset)):
            item = dataset[row]
            assert item["gt_versions"].shape == (5, 3, 8, 8) and item["gt_candidates"].dtype == torch.bool
            assert [case.version_of(image, name) for image in item["gt_versions"]] == list(case.VERSIONS)
            expected = [value > 0 for value in _expected("sma" if sampling == "amo" else sampling, name)]
            assert item["gt_candidates"].tolist() == expected


@pytest.mark.parametrize(("count", "share"), [(2, 2 / 3), (4, 1)])
def test_votes_are_shares_of_three_at_most_1(count, share):
    groups = Groups(("original", "01"), ["a"], [("original/a", "01/a")])
    found = judge_versions({"a": {"01": Label("Negative", count)}}, groups, "labels.csv")
    assert found.codes.tolist() == [[0, REJECTED]] and found.votes[0] == pytest.approx([0, share])


def test_each_draw_takes_a_number_of_its_own():
    codes = np.array([[0, PREFERRED, PREFERRED, REJECTED, REJECTED]], np.int8)
    draws = VersionDraws(np.ones((1, 5), bool), np.full((1, 5), 0.2), codes)
    assert draws.of(0, [0.5, 0.1, 0.9]) == (2, 3, 2)
    assert draws.of(0, [0.1, 0.9, 0.1]) == (0, 4, 1)


def test_negative_and_positive_are_drawn_independently(root):
    dataset = build_dataset(_options(root, "upos", negatives=True))
    names, seen = _names(dataset), Counter()
    for draw in range(600):
        item = dataset[SampleIndex(draw % 3, epoch=0, draw=draw)]
        name = names[draw % 3]
        chosen = item["gt_versions"][0], item["gt_negative"], item["gt_positive"]
        versions = tuple(case.version_of(image, name) for image in chosen)
        seen[name, versions] += 1
        votes = {text: int(text.split()[1]) / 3 for text in case.LABELS[name]}
        given = [0 if version == "original" else votes[case.LABELS[name][int(version) - 1]] for version in versions[1:]]
        assert np.allclose(item["negative_votes"], given, atol=1e-7) and item["negative_votes"].dtype == torch.float32
    # 0001: two positives, one negative (04); "a b": no positive, two negatives; ü: no negative, four positives
    first = {versions: count for (name, versions), count in seen.items() if name == FIRST}
    assert set(first) == {(target, "04", positive) for target in ("01", "02") for positive in ("01", "02")}
    assert chisquare(list(first.values())).pvalue > 0.01
    negative = {versions: count for (name, versions), count in seen.items() if name == NEGATIVE}
    assert set(negative) == {("original", version, "original") for version in ("01", "02")}
    assert chisquare(list(negative.values())).pvalue > 0.01
    positive = [versions for name, versions in seen if name == POSITIVE]
    assert {versions[1] for versions in positive} == {"original"} and len({versions[2] for versions in positive}) == 4


# ------------------------------------------------------------------------------------------------ images


def test_flips_and_crop_are_the_same_for_all_versions(root):
    """The red channel tells the place."""
    dataset = build_dataset(_options(root, "amo", negatives=True))
    places = set()
    for draw in range(40):
        item = dataset[SampleIndex(draw % 3, epoch=0, draw=draw)]
        red = item["gt"][0]
        for image in (*item["gt_versions"], item["gt_negative"], item["gt_positive"]):
            assert torch.equal(image[0], red)
        places.add(tuple((red * 255).round().int()[[0, 0, -1], [0, -1, 0]].tolist()))
    assert len(places) > 25


def test_an_option_does_not_change_the_other_draws(root):
    """Original and kernels are those of RealESRGANMaskDataset on the originals, whatever the rule."""
    plain = {key: value for key, value in _options(root, "upos").items() if key not in ("sampling", "dataroot_labels")}
    plain |= {"type": "RealESRGANMaskDataset", "dataroot_gt": str(root / "images/0-3/original")}
    reference = build_dataset(plain)
    datasets = [build_dataset(_options(root, rule)) for rule in ("origins_only", "amo", "upos")]
    for draw in range(12):
        index = SampleIndex(0, epoch=1, draw=draw)
        expected = reference[index]
        for dataset in datasets:
            item = dataset[index]
            _assert_same({key: item[key] for key in expected}, expected)


def test_only_what_is_needed_is_read(root):
    dataset = build_dataset(_options(root, "upos"))
    read = dataset.images.read
    keys = []
    dataset.images.read = lambda key: keys.append(key) or read(key)
    for draw in range(20):
        keys.clear()
        dataset[SampleIndex(0, epoch=0, draw=draw)]
        assert keys in ([f"original/{FIRST}", f"01/{FIRST}_01"], [f"original/{FIRST}", f"02/{FIRST}_02"])


def test_second_order_kernels(root):
    second = {f"{key}2": value for key, value in case.KERNELS.items()}
    item = build_dataset(_options(root, "amo", **second, final_sinc_prob=0.5))[0]
    expected = {"gt", "gt_versions", "gt_candidates", "kernel1", "kernel2", "sinc_kernel", "gt_path"}
    assert set(item) == expected and item["sinc_kernel"].shape == (3, 3)


@pytest.mark.parametrize(("sampling", "store"), [("upos", "png"), ("amo", "png"), ("amo", "raw")])
def test_lmdb_and_csv_give_the_same_items(root, sampling, store):
    """Names with dots, blanks and percent signs among them."""
    folder = build_dataset(_options(root, sampling, negatives=True))
    packed = {"dataroot_gt": str(root / f"{store}.lmdb"), "dataroot_labels": str(root / "labels.csv")}
    lmdb = build_dataset(_options(root, sampling, negatives=True, **packed))
    assert _names(lmdb) == _names(folder)
    for draw in range(12):
        index = SampleIndex(draw % 3, epoch=2, draw=draw)
        _assert_same(folder[index], lmdb[index])


def test_same_name_in_every_version(root, tmp_path):
    for name in case.NAMES:
        for version in case.VERSIONS:
            target = tmp_path / version / f"{name}.png"
            target.parent.mkdir(exist_ok=True)
            shutil.copy(root / "images/0-3" / case.file_name(name, version), target)
    plain = build_dataset(_options(root, "upos", dataroot_gt=str(tmp_path)))
    hggt = build_dataset(_options(root, "upos"))
    for draw in range(6):
        index = SampleIndex(draw % 2, epoch=0, draw=draw)
        _assert_same(plain[index], hggt[index])


def test_chosen_versions_keep_their_order(root):
    dataset = build_dataset(_options(root, "amo", versions=["03", "01"]))
    item = dataset[0]
    assert [case.version_of(image, FIRST) for image in item["gt_versions"]] == ["original", "03", "01"]


# ------------------------------------------------------------------------------------------------ exact resume


def test_items_do_not_depend_on_workers_nor_on_a_restart(root):
    """An item depends on (seed, epoch, draw); a sampler that begins anew in the middle goes on with the same ones."""
    scores = str(root / "scores.csv")
    dataset = build_dataset(_options(root, "sma", scores=scores, dataset_enlarge_ratio=4))

    def batches(passed, workers, count):
        sampler = SeededBatchSampler(dataset, 2, ratio=4, seed=3)
        sampler.pass_over(0, passed)
        sampler.set_epoch(0)
        loader = iter(DataLoader(dataset, batch_sampler=sampler, num_workers=workers))
        return [next(loader) for _ in range(count)]

    whole = batches(0, 0, 12)  # over the end of the epoch: 8 batches each
    for passed, workers in ((0, 2), (6, 0), (6, 1)):
        others = batches(passed, workers, 12 - passed // 2)
        for one, other in zip(whole[passed // 2 :], others, strict=True):
            _assert_same(one, other)
    targets = [batch["gt_versions"][:, 0, 1, 0, 0] for batch in whole]
    assert len(torch.cat(targets).unique()) > 2


def test_other_seeds_and_epochs_draw_otherwise(root):
    def targets(seed, epoch):
        dataset = build_dataset(_options(root, "sma", scores=str(root / "scores.csv"), manual_seed=seed))
        items = [dataset[SampleIndex(0, epoch, draw)] for draw in range(20)]
        return [case.version_of(item["gt_versions"][0], FIRST) for item in items]

    assert targets(3, 0) == targets(3, 0)
    assert targets(3, 0) != targets(4, 0) and targets(3, 0) != targets(3, 1)


# ------------------------------------------------------------------------------------------------ what goes wrong


def test_missing_labels_and_scores_are_told_at_once(root, tmp_path):
    case.write_labels(tmp_path / "labels", case.NAMES[1:])
    options = _options(root, "upos", dataroot_labels=str(tmp_path / "labels"))
    with pytest.raises(DataError, match=r"labels.*0001-288-0 \(01\)"):
        build_dataset(options)
    case.write_scores(tmp_path / "scores.csv", {name: case.SCORES[name] for name in case.NAMES[1:3]})
    options = _options(root, "smp", scores=str(tmp_path / "scores.csv"))
    with pytest.raises(DataError, match=r"(?s)scores\.csv.*0001-288-0 in 01, 02;.*ü%20-1-1 in 01"):
        build_dataset(options)
    options["sampling"] = "sma"
    with pytest.raises(DataError, match="2 groups"):
        build_dataset(options)


def test_scores_of_candidates_alone_are_needed(root, tmp_path):
    rows = list(csv.reader((root / "scores.csv").read_text().splitlines()))
    needed = {(FIRST, "01"), (FIRST, "02"), *((POSITIVE, version) for version in case.VERSIONS[1:])}
    kept = [row for number, row in enumerate(rows) if number < 2 or tuple(row[:2]) in needed]
    (tmp_path / "scores.csv").write_text("".join(",".join(row) + "\n" for row in kept))
    assert len(build_dataset(_options(root, "smp", scores=str(tmp_path / "scores.csv")))) == 2


def test_no_group_left(root, tmp_path):
    (tmp_path / "labels.csv").write_text(
        "name,version,label,votes\n" + "".join(f"{n},{v},Similar,3\n" for n in case.NAMES for v in case.VERSIONS[1:])
    )
    for negatives, what in ((False, "positive version"), (True, "label but Similar")):
        options = _options(root, "upos", dataroot_labels=str(tmp_path / "labels.csv"), negatives=negatives)
        with pytest.raises(DataError, match=rf"labels\.csv: none of 4 groups has a {what}"):
            build_dataset(options)


def test_missing_versions_and_other_sizes_are_named(root, tmp_path):
    shutil.copytree(root / "images", tmp_path / "images")
    path = tmp_path / "images/0-3/03" / f"{FIRST}_03.png"
    cv2.imwrite(str(path), np.zeros((10, 16, 3), np.uint8))
    dataset = build_dataset(_options(tmp_path, "amo"))
    with pytest.raises(DataError, match=r"0001-288-0_03\.png.*16x10.*12x12"):
        dataset[0]
    path.write_bytes(b"broken")
    with pytest.raises(DataError, match=r"0001-288-0_03\.png"):
        dataset[0]
    path.unlink()
    with pytest.raises(ImageSourceError, match=r"03.*0001-288-0"):
        build_dataset(_options(tmp_path, "amo"))
    with pytest.raises(ImageSourceError, match="images/0-3"):
        build_dataset(_options(tmp_path, "amo", dataroot_gt=str(tmp_path / "images")))
