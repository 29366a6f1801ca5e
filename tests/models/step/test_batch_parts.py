"""What is divided of a batch, and in which order."""

from prismsr.models.step.batch_parts import pick_samples, split_batch

import torch

BATCH = {
    "lq": torch.arange(4)[:, None],
    "depth": torch.arange(8).view(4, 2),
    "gt_path": ["a", "b", "c", "d"],
    "scale": torch.tensor(4),
    "words": ["for", "all"],
}


def test_whatever_has_a_value_for_each_sample_is_divided():
    first, second = split_batch(BATCH, 2)
    assert (first["gt_path"], second["gt_path"]) == (["a", "b"], ["c", "d"])
    assert (first["depth"].tolist(), second["lq"].tolist()) == ([[0, 1], [2, 3]], [[2], [3]])
    assert all(part["scale"] == 4 and part["words"] == ["for", "all"] for part in (first, second))
    assert first["depth"].data_ptr() == BATCH["depth"].data_ptr()  # no copy


def test_samples_are_picked_in_the_order_asked_for():
    picked = pick_samples(BATCH, torch.tensor([2, 0]))
    assert (picked["depth"].tolist(), picked["gt_path"]) == ([[4, 5], [0, 1]], ["c", "a"])
    assert picked["words"] == ["for", "all"]
