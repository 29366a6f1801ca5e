from prismsr.archs.latent.stable_diffusion import build_vae
from prismsr.archs.lgcaa.options import BaseOptions
from prismsr.tools.studies import plot_latent_histogram

import numpy as np
import pytest
from lgcaa_tiny import BASE
from PIL import Image


@pytest.fixture(scope="module")
def tool():
    return plot_latent_histogram


@pytest.fixture
def folders(tmp_path):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 200, (16, 24, 3), np.uint8)
    for name, shift in (("GT", 0), ("SR", 51)):
        (tmp_path / name).mkdir()
        Image.fromarray(image + np.uint8(shift)).save(tmp_path / name / ("a_run.png" if name == "SR" else "a.png"))
    return tmp_path


def test_distance_of_a_shift_is_the_shift(tool, folders):
    images = tool.read_all(folders / "GT", None, [folders / "SR"])
    values = {name: tool._flatten(tensors) for name, tensors in images.items()}
    assert tool.measure_distances(values) == {"SR": pytest.approx(51 / 255, abs=1e-6)}


def test_plot_of_pixels_and_latents(tool, folders, capsys):
    build_vae(BaseOptions(**BASE)).save_pretrained(folders / "vae")
    paths = ["--gt", folders / "GT", "--sr", folders / "SR", "--vae", folders / "vae", "-o", folders / "x.png"]
    assert tool.main([str(part) for part in paths]) == 0
    assert Image.open(folders / "x.png").width > 800
    assert "latents: W1(SR, GT)" in capsys.readouterr().out


def test_missing_partner_is_named(tool, folders, capsys):
    (folders / "SR" / "a_run.png").unlink()
    assert tool.main(["--gt", str(folders / "GT"), "--sr", str(folders / "SR"), "-o", str(folders / "x.png")]) == 2
    assert "no image of a" in capsys.readouterr().err
