from prismsr.archs.latent.stable_diffusion import build_vae, posterior_moments
from prismsr.archs.lgcaa.options import BaseOptions
from prismsr.data.latent_pairs_dataset import LatentPairsDataset
from prismsr.utils.errors import DataError

import numpy as np
import pytest
import torch
from lgcaa_tiny import BASE
from PIL import Image


@pytest.fixture(scope="module")
def folders(tmp_path_factory, prepare_tool):
    root = tmp_path_factory.mktemp("latents")
    rng = np.random.default_rng(0)
    for name, side in (("GT", 64), ("LR", 16)):
        (root / name).mkdir()
        for number in range(2):
            Image.fromarray(rng.integers(0, 256, (side, side, 3), np.uint8)).save(root / name / f"{number}.png")
    build_vae(BaseOptions(**BASE)).save_pretrained(root / "vae")
    arguments = [
        "latents",
        "-i",
        str(root / "GT"),
        "-o",
        str(root / "Z"),
        "--vae",
        str(root / "vae"),
        "--device",
        "cpu",
    ]
    assert prepare_tool.main(arguments) == prepare_tool.main(arguments) == 0
    return root


def _dataset(folders, **changes):
    opt = {
        "dataroot_gt": str(folders / "GT"),
        "dataroot_lq": str(folders / "LR"),
        "dataroot_latents": str(folders / "Z"),
    }
    return LatentPairsDataset({**opt, "phase": "train", "scale": 4, "gt_size": 64, **changes})


def test_cached_posterior_is_the_vaes(folders):
    item = _dataset(folders)[1]
    vae = build_vae(BaseOptions(path=None, vae_path=str(folders / "vae")))
    with torch.no_grad():
        wanted = posterior_moments(vae, item["gt"][None])[0]
    assert item["gt_latents"].shape == (8, 8, 8)
    assert torch.allclose(item["gt_latents"], wanted, rtol=2e-3, atol=1e-4)


def test_crops_have_other_latents(folders):
    with pytest.raises(DataError, match="gt_size"):
        _dataset(folders, gt_size=32)[0]


def test_missing_latents_are_named(folders):
    with pytest.raises(DataError, match="make them by"):
        _dataset(folders, dataroot_latents=str(folders / "none"))[0]


def test_latents_that_no_run_made_are_not_removed(folders, prepare_tool):
    (folders / "mine").mkdir()
    np.save(folders / "mine/a.npy", np.zeros(3))
    arguments = ["-i", str(folders / "GT"), "-o", str(folders / "mine"), "--vae", str(folders / "vae")]
    assert prepare_tool.main(["latents", *arguments, "--device", "cpu", "--overwrite"]) == 2
    assert (folders / "mine/a.npy").exists()
