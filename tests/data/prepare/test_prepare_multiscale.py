from prismsr.data.prepare.multiscale import lanczos, version_sizes

import cv2
import numpy as np
import pytest
from PIL import Image


def test_sizes_of_the_ssl_preparation():
    scales = [0.75, 0.6, 1 / 3]
    assert version_sizes(1356, 2040, scales, 512) == {
        "T0": (1017, 1530),
        "T1": (813, 1224),
        "S": (512, 770),  # 512 * 2040 / 1356 = 770.27, and T2 would have 452 rows
        "": (1356, 2040),
    }
    assert version_sizes(2040, 1356, scales, 512)["S"] == (770, 512)
    assert version_sizes(400, 300, scales, 512) == {"S": (682, 512)}
    assert version_sizes(512, 512, scales, 512) == {"S": (512, 512), "": (512, 512)}


def test_versions_equal_pil(prepare, hr, tmp_path, images):
    cv2.imwrite(str(hr / "jpeg.jpg"), cv2.imread(str(hr / "c.png")))
    out = tmp_path / "out"
    assert prepare("multiscale", "-i", hr, "-o", out, "--scales", "3/4", "0.5", "--shortest-edge", "40") == 0
    written = images(out)
    # a: 48 x 60, b: 56 x 72, c and jpeg: 64 x 84, sub/d: 72 x 96; 3/4 of 56 is 42, half of 72 is 36
    expected = {f"{name}{suffix}.png" for name in ("b", "c", "jpeg", "sub/d") for suffix in ("", "T0", "S")}
    assert set(written) == expected | {"a.png", "aS.png"}
    source = Image.open(hr / "b.png")
    assert np.array_equal(Image.open(out / "bT0.png"), source.resize((54, 42), Image.Resampling.LANCZOS))
    assert np.array_equal(Image.open(out / "bS.png"), source.resize((51, 40), Image.Resampling.LANCZOS))
    assert (out / "b.png").read_bytes() == (hr / "b.png").read_bytes()
    assert np.array_equal(written["jpeg.png"], cv2.imread(str(hr / "jpeg.jpg")))


def test_lanczos_of_16_bit_grey_and_alpha(photograph):
    grey = photograph[..., 1]
    as_8_bit = lanczos(grey, 75, 110).astype(int)
    as_16_bit = lanczos(grey.astype(np.uint16) * 256, 75, 110)
    assert as_16_bit.dtype == np.uint16
    assert np.abs(as_16_bit / 256 - as_8_bit).max() <= 1  # 8-bit PIL rounds twice
    colour = lanczos(photograph.astype(np.uint16) * 256, 75, 110)
    assert np.array_equal(colour[..., 1], as_16_bit)
    assert lanczos(np.dstack([photograph, grey]), 75, 110).shape == (75, 110, 4)


def test_names_that_collide_are_refused(prepare, hr, tmp_path, capsys):
    (hr / "aS.png").write_bytes((hr / "b.png").read_bytes())
    assert prepare("multiscale", "-i", hr, "-o", tmp_path / "out") == 2
    assert "'aS' and 'a' would both write aS.png" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("scale", ["1", "0", "-0.5", "1/0", "half"])
def test_wrong_scale(prepare, hr, tmp_path, capsys, scale):
    assert prepare("multiscale", "-i", hr, "-o", tmp_path / "out", f"--scales={scale}") == 2
    assert "above 0 and below 1" in capsys.readouterr().err
