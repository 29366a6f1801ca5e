from prismsr.data.latent_pairs_dataset import LatentPairsOptions
from prismsr.utils.options.validation import validate_section

import pytest

ENTRY = {
    "name": "x", "type": "LatentPairsDataset", "dataroot_gt": "a", "dataroot_lq": "b", "dataroot_latents": "c",
    "batch_size_per_gpu": 1, "num_worker_per_gpu": 0, "gt_size": 64, "use_hflip": False, "use_rot": False,
}  # fmt: skip


def test_images_of_cached_latents_are_not_augmented():
    assert validate_section(LatentPairsOptions, ENTRY, "datasets.train", is_train=True) == []


@pytest.mark.parametrize("key", ["use_hflip", "use_rot"])
def test_flips_are_an_error(key):
    problems = validate_section(LatentPairsOptions, {**ENTRY, key: True}, "datasets.train", is_train=True)
    assert [problem.key for problem in problems] == [f"datasets.train.{key}"]
