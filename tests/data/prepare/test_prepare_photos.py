from prismsr.data.prepare import photos
from prismsr.utils.errors import OptionError

import numpy as np
import pytest
from PIL import Image


def test_demo_set(prepare, tmp_path, images, photograph):
    assert prepare("photos", "-o", tmp_path / "demo") == 0
    train, val = images(tmp_path / "demo/train/HR"), images(tmp_path / "demo/val/HR")
    assert sorted(train) == [
        f"{name}.png" for name in ("china", "flower", "ihc", "motorcycle_left", "motorcycle_right", "rocket")
    ]
    assert sorted(val) == ["astronaut.png", "chelsea.png", "coffee.png"]
    for image in [*train.values(), *val.values()]:
        assert image.dtype == np.uint8 and image.ndim == 3 and min(image.shape[:2]) >= 288
        assert image.shape[0] % 12 == 0 and image.shape[1] % 12 == 0
    chelsea = np.asarray(Image.open(tmp_path / "demo/val/HR/chelsea.png"))
    assert np.array_equal(chelsea, photograph[:300, :444])


def test_missing_photograph_names_the_package(monkeypatch, prepare, tmp_path, capsys):
    with pytest.raises(OptionError, match=r"no_such\.png.*skimage does not ship"):
        photos.photo_path("skimage/no_such.png")
    monkeypatch.setattr(photos, "VAL", {"x": "no_such_package/x.png"})
    assert prepare("photos", "-o", tmp_path / "demo") == 2
    assert "the package no_such_package is not installed" in capsys.readouterr().err
