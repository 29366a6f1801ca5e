import json

from prismsr.data.images.source import ImageSourceError
from prismsr.data.multi_gt.labels import decide_label
from prismsr.utils.errors import DataError

import cv2
import multi_gt_case as case
import numpy as np
import pytest
import torch
from basicsr.data import build_dataset

WITH_POSITIVES = ["0001-288-0", "ü%20-1-1"]


@pytest.fixture
def root(tmp_path):
    """Test-100's layout: groups with positives, and LQ images whose blue channel counts them."""
    case.write_images(tmp_path / "images")
    case.write_labels(tmp_path / "labels", WITH_POSITIVES)
    (tmp_path / "lq").mkdir()
    for name in set(case.NAMES) - set(WITH_POSITIVES):
        for version in case.VERSIONS:
            (tmp_path / "images" / case.file_name(name, version)).unlink()
    for number, name in enumerate(WITH_POSITIVES):
        image = np.full((3, 3, 3), number, np.uint8)
        cv2.imencode(".png", image)[1].tofile(tmp_path / "lq" / f"{name}.png")
    return tmp_path


def _options(root, **changes):
    return {
        "name": "Test-100",
        "type": "MultiGTTestDataset",
        "dataroot_gt": str(root / "images"),
        "dataroot_lq": str(root / "lq"),
        "dataroot_labels": str(root / "labels"),
        "phase": "val",
        "scale": 4,
        **changes,
    }


def _positives(root, name):
    """The positive versions, from the JSON files themselves."""
    found = []
    for number, version in enumerate(case.VERSIONS[1:], 2):
        files = [json.loads((root / "labels" / who / f"{name}.json").read_text()) for who in "ABC"]
        if decide_label([file[f"Picture_{number}"]["Label"] for file in files]).label == "Positive":
            found.append(version)
    return found


@pytest.mark.parametrize("references", ["positives", "original", "all"])
def test_references(root, references):
    dataset = build_dataset(_options(root, references=references))
    assert len(dataset) == 2
    for number, name in enumerate(WITH_POSITIVES):
        item = dataset[number]
        assert (item["lq_path"], item["gt_path"]) == (f"{name}.png", f"{name}.png")
        assert item["lq"].shape == (3, 3, 3) and torch.all(item["lq"][2] == number / 255)
        original = cv2.imdecode(np.fromfile(root / f"images/original/{name}.png", np.uint8), cv2.IMREAD_COLOR)
        assert np.array_equal((item["gt"].numpy() * 255).round().transpose(1, 2, 0), original[..., ::-1])
        found = [case.version_of(image, name) for image in item["gt_references"]]
        expected = {"positives": _positives(root, name), "original": ["original"], "all": list(case.VERSIONS)}
        assert found == expected[references] and len(expected["positives"]) >= 2


def test_ground_truths_are_cut_to_lq_times_scale(root):
    item = build_dataset(_options(root, scale=3))[0]
    whole = build_dataset(_options(root))[0]
    assert torch.equal(item["gt"], whole["gt"][:, :9, :9])
    assert torch.equal(item["gt_references"], whole["gt_references"][..., :9, :9])
    with pytest.raises(DataError, match=r"0001-288-0\.png.*15x15.*12x12"):
        build_dataset(_options(root, scale=5))[0]


def test_groups_without_positives_are_named(root):
    text = "name,version,label,votes\n" + "".join(
        f"{name},{version},{'Similar' if name[0] == '0' else 'Positive'},3\n"
        for name in WITH_POSITIVES
        for version in case.VERSIONS[1:]
    )
    (root / "labels.csv").write_text(text)
    options = _options(root, dataroot_labels=str(root / "labels.csv"))
    with pytest.raises(DataError, match=r"labels\.csv.*0001-288-0"):
        build_dataset(options)
    assert len(build_dataset({**options, "references": "all"})) == 2


def test_other_names_of_lq_images_are_told(root):
    (root / "lq" / "0001-288-0.png").rename(root / "lq" / "b.png")
    with pytest.raises(ImageSourceError, match=r"2 differ.*0001-288-0, b"):
        build_dataset(_options(root))
