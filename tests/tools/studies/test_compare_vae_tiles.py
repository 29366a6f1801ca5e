from prismsr.archs.latent.stable_diffusion import build_vae
from prismsr.archs.lgcaa.options import BaseOptions
from prismsr.tools.studies import compare_vae_tiles

import numpy as np
import pytest
from lgcaa_tiny import BASE, VAE
from PIL import Image


@pytest.fixture(scope="module")
def tool():
    return compare_vae_tiles


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A VAE without attention, so that tiles with all norms' statistics are near the whole, and an image."""
    folder = tmp_path_factory.mktemp("tiles")
    build_vae(BaseOptions(**{**BASE, "vae": {**VAE, "mid_block_add_attention": False}})).save_pretrained(folder / "vae")
    rng, slope = np.random.default_rng(0), np.linspace(0, 255, 323)[:, None]
    Image.fromarray((slope * rng.random((163, 1, 3))).astype(np.uint8)).save(folder / "image.png")
    return folder


def _run(tool, folder, *arguments):
    paths = ["--vae", folder / "vae", "-i", folder / "image.png", "-o", folder / "out" / "tiles.png", *arguments]
    return tool.main([str(part) for part in paths])


def test_picture_and_distances(tool, folder, capsys):
    assert _run(tool, folder, "--tile", "24", "--overlap", "12", "--stages", "0", "99") == 0
    own, shared = (float(line.split(": ")[1].split(" dB")[0]) for line in capsys.readouterr().out.splitlines())
    assert shared > own + 6
    assert Image.open(folder / "out" / "tiles.png").width > 3 * 320
    assert _run(tool, folder, "--tile", "24", "--stages", "0", "99") == 0
    assert tuple(float(line.split(": ")[1].split(" dB")[0]) for line in capsys.readouterr().out.splitlines()) == (
        own,
        shared,
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--tile", "64"], "the image is one tile, 20 x 40 latents"),
        (["--tile", "24", "--overlap", "13"], "at most half"),
    ],
)
def test_tiles_that_do_not_fit_are_told(tool, folder, capsys, arguments, message):
    assert _run(tool, folder, *arguments) == 2
    assert message in capsys.readouterr().err
