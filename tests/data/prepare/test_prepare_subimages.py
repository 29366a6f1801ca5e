from prismsr.data.prepare.subimages import crop_starts

import cv2
import numpy as np
import pytest


@pytest.mark.parametrize(
    ("length", "thresh", "starts"),
    [
        (512, 0, [0]),
        (513, 0, [0, 1]),
        (768, 0, [0, 256]),
        (1000, 0, [0, 256, 488]),
        (800, 32, [0, 256]),
        (801, 32, [0, 256, 289]),
    ],
)
def test_last_crop_is_flush_with_the_border(length, thresh, starts):
    assert crop_starts(length, 512, 256, thresh) == starts


def test_crops_row_by_row(prepare, hr, tmp_path, images):
    (hr / "sub/0001x4.png").write_bytes((hr / "c.png").read_bytes())  # 64 x 84
    assert prepare("subimages", "-i", hr, "-o", tmp_path / "out", "--crop", 40, "--step", 24) == 0
    written = images(tmp_path / "out")
    source = cv2.imread(str(hr / "c.png"))
    assert sorted(name for name in written if name.startswith("c_")) == [f"c_s{n:03d}.png" for n in range(1, 7)]
    corners = [(0, 0), (0, 24), (0, 44), (24, 0), (24, 24), (24, 44)]
    for number, (top, left) in enumerate(corners, 1):
        assert np.array_equal(written[f"c_s{number:03d}.png"], source[top : top + 40, left : left + 40])
        assert np.array_equal(written[f"sub/0001_s{number:03d}.png"], written[f"c_s{number:03d}.png"])


def test_compression_level(prepare, hr, tmp_path):
    sizes = []
    for level in (0, 9):
        out = tmp_path / str(level)
        assert prepare("subimages", "-i", hr, "-o", out, "--crop", 48, "--compression", level) == 0
        sizes.append((out / "a_s001.png").stat().st_size)
    assert sizes[1] < sizes[0]


def test_image_smaller_than_the_crop(prepare, hr, tmp_path, images, capsys):
    line = ("subimages", "-i", hr, "-o", tmp_path / "out", "--crop", 56, "--step", 56)
    assert prepare(*line) == 1
    error = capsys.readouterr().err
    assert "a.png: 48 x 60 pixels" in error and "--on-error skip" in error and "Traceback" not in error
    assert prepare(*line, "--on-error", "skip") == 0
    assert "1 images skipped" in (printed := capsys.readouterr().out) and "a.png" in printed
    assert {name[:3] for name in images(tmp_path / "out")} == {"b_s", "c_s", "sub"}


def test_names_that_collide_without_the_scale_are_refused(prepare, hr, tmp_path, capsys):
    (hr / "ax2.png").write_bytes((hr / "a.png").read_bytes())
    assert prepare("subimages", "-i", hr, "-o", tmp_path / "out", "--crop", 40) == 2
    assert "both 'a' without x2" in capsys.readouterr().err
