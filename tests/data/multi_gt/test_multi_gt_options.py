from prismsr.data.multi_gt.options import MultiGTOptions, MultiGTTestOptions
from prismsr.utils.options.validation import validate_section

import multi_gt_case as case
import pytest


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sampling": "best"}, "train.sampling: must be one of 'origins_only', 'upos', 'sma', 'smp', 'amo'"),
        ({"dataroot_labels": None}, "train.dataroot_labels: is required with sampling: upos"),
        (
            {"dataroot_labels": None, "sampling": "amo", "negatives": True},
            "train.dataroot_labels: is required with negatives: true",
        ),
        ({"scores": "x.csv"}, "train.scores: is not read with sampling: upos"),
        ({"tau": 0.0}, "train.tau: must be a number greater than 0"),
        ({"versions": ["01", "01"]}, "train.versions: must be different names"),
        ({"versions": [1, 3]}, "train.versions: YAML reads 01 as a number; put the names in quotes"),  # [01, 03]
        ({"versions": ["original"]}, "train.versions: must be different names"),
        ({"kernel_prob": [1.0, 2.0]}, "train.kernel_prob: must have as many entries as kernel_list, 1"),
        ({"dataroot_gt_mask": "x"}, "train.dataroot_gt_mask: unknown key"),
    ],
)
def test_wrong_options_are_told(changes, message):
    entry = {
        "name": "a", "type": "MultiGTDataset", "dataroot_gt": "x", "dataroot_labels": "y", "sampling": "upos",
        "use_hflip": True, "use_rot": False, "num_worker_per_gpu": 1, "batch_size_per_gpu": 2, **case.KERNELS,
    }  # fmt: skip
    assert validate_section(MultiGTOptions, entry, "train", is_train=True) == []
    problems = validate_section(MultiGTOptions, {**entry, **changes}, "train", is_train=True)
    assert len(problems) == 1
    assert message in str(problems[0])


def test_positives_need_labels():
    entry = {"name": "a", "type": "MultiGTTestDataset", "dataroot_gt": "x", "dataroot_lq": "y"}
    problems = validate_section(MultiGTTestOptions, entry, "val", is_train=True)
    missing = [str(problem) for problem in problems if "dataroot_labels" in problem.key]
    assert "val.dataroot_labels: is required with references: positives" in missing[0]
    assert validate_section(MultiGTTestOptions, {**entry, "references": "all"}, "val", is_train=False) == []
