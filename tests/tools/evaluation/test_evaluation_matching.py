import json

from prismsr.tools.evaluation.matching import MatchingError, find_common_suffix, find_group, match, read_sizes

import cv2
import numpy as np
import pytest


def fill(folder, names, size=(8, 12)):
    for name in names:
        path = folder / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.zeros((*size, 3), np.uint8))


@pytest.mark.parametrize(
    ("made", "suffix"),
    [
        (["a", "b/c", "a_x4"], ""),
        (["a_x4", "b/c_x4", "a_x4_x4"], "_x4"),
        (["aNAME", "b/cNAME", "a_x4NAME"], "NAME"),
    ],
)
def test_names_may_have_one_suffix(tmp_path, made, suffix):
    gt = ["a", "b/c", "a_x4"]  # a trap: a name that is another with the suffix
    fill(tmp_path / "gt", gt)
    fill(tmp_path / "sr", made)
    assert find_common_suffix(made, set(gt)) == suffix
    for given in (None, suffix):
        items = match(tmp_path / "sr", tmp_path / "gt", suffix=given)
        assert [(item.name, item.sr.stem, item.references[0].stem) for item in items] == [
            ("a", f"a{suffix}", "a"),
            ("a_x4", f"a_x4{suffix}", "a_x4"),
            ("b/c", f"c{suffix}", "c"),
        ]


def test_what_is_missing_and_what_is_extra_is_told(tmp_path):
    fill(tmp_path / "gt", [f"{n:02d}" for n in range(15)])
    fill(tmp_path / "sr", ["00_x4", "01_x4", "zebra_x4"])
    with pytest.raises(MatchingError) as caught:
        match(tmp_path / "sr", tmp_path / "gt")
    message = str(caught.value)
    for part in ("13 images", "02, 03, 04, 05, 06, 07, 08, 09, 10, 11 and 3 more", "1 SR images", "zebra", "'_x4'"):
        assert part in message
    with pytest.raises(MatchingError, match=r"3 of 3 .*'_x2': 00_x4, 01_x4, zebra_x4"):
        match(tmp_path / "sr", tmp_path / "gt", suffix="_x2")


def test_several_sr_images_of_one_gt(tmp_path):
    fill(tmp_path / "gt", ["a", "a+b"])
    fill(tmp_path / "sr", ["a+01_net", "a+02_net", "a+b+01_net"])
    items = match(tmp_path / "sr", tmp_path / "gt", several=True)
    assert [(item.name, item.group) for item in items] == [
        ("a+01_net", "a"),
        ("a+02_net", "a"),
        ("a+b+01_net", "a+b"),
    ]
    assert find_group("x+1") == "x"
    fill(tmp_path / "sr", ["c+1"])
    fill(tmp_path / "gt", ["d"])
    with pytest.raises(MatchingError, match=r"(?=.*: c\+1).*: d"):
        match(tmp_path / "sr", tmp_path / "gt", several=True)


def test_without_gt(tmp_path):
    fill(tmp_path / "sr", ["a_x", "b_x"])
    assert [item.name for item in match(tmp_path / "sr", None)] == ["a_x", "b_x"]
    items = match(tmp_path / "sr", None, suffix="_x")
    assert [(item.name, item.references) for item in items] == [("a", ()), ("b", ())]


@pytest.fixture
def hggt(tmp_path):
    """Two groups with three versions in HGGT's names, and labels beside them."""
    root = tmp_path / "GT"
    fill(root / "images/original", ["p-1", "q-1"])
    for version in ("01", "02", "03"):
        fill(root / "images" / version, [f"p-1_{version}", f"q-1_{version}"])
    votes = {"p-1": "PPN", "q-1": "NSP"}
    words = {"P": "Positive", "S": "Similar", "N": "Negative"}
    for annotator in "ABC":
        for name, letters in votes.items():
            pictures = {"Picture_1": {"Name": name, "Label": None}}
            for number, letter in enumerate(letters):
                pictures[f"Picture_{number + 2}"] = {"Name": f"{name}_{number + 1:02d}", "Label": words[letter]}
            path = root / "labels" / annotator / f"{name}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(pictures))
    fill(tmp_path / "sr", ["p-1_net", "q-1_net"])
    return tmp_path / "sr", root / "images"


def test_versions_as_references(hggt):
    sr, gt = hggt

    def stems(kind, **more):
        return [[path.stem for path in item.references] for item in match(sr, gt, references=kind, **more)]

    assert stems("positives") == [["p-1_01", "p-1_02"], ["q-1_03"]]
    assert stems("positives", labels=gt.parent / "labels") == stems("positives")
    assert stems("original") == [["p-1"], ["q-1"]]
    assert stems("all") == [[f"{name}-1{tail}" for tail in ("", "_01", "_02", "_03")] for name in "pq"]


def test_labels_that_are_not_there(hggt):
    sr, gt = hggt
    for path in (gt.parent / "labels").glob("*/q-1.json"):
        path.unlink()
    with pytest.raises(MatchingError, match="q-1"):
        match(sr, gt, references="positives")
    (gt.parent / "labels").rename(gt.parent / "elsewhere")
    with pytest.raises(MatchingError, match="--labels"):
        match(sr, gt, references="positives")


def test_sizes(tmp_path):
    fill(tmp_path / "gt", ["a", "b", "c"])
    fill(tmp_path / "sr", ["a"])
    fill(tmp_path / "sr", ["b"], (8, 10))
    (tmp_path / "sr/c.png").write_bytes(b"not an image")
    items = match(tmp_path / "sr", tmp_path / "gt")
    with pytest.raises(MatchingError, match=r"b\.png .*10 x 8 .*b\.png 12 x 8"):
        read_sizes(items, "equal")
    assert read_sizes(items, "crop") == {"a": (8, 12), "b": (8, 10)}
    fill(tmp_path / "sr", ["b"], (9, 10))
    with pytest.raises(MatchingError, match=r"b\.png"):
        read_sizes(items, "crop")
