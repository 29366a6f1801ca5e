"""What has to agree between the section `degradation`, the training dataset and the loss terms."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from prismsr.data.degradation.options import DegradationOptions
from prismsr.utils.options.problems import Problem
from prismsr.utils.options.rules import patch_sizes
from prismsr.utils.options.schema import TrainOptions


def degradation(opt: Mapping[str, Any], is_train: bool, schema: type[TrainOptions] | None) -> Iterator[Problem]:
    """The dataset gives what the degradation needs, its batches fit the pool, and gt_usm is there where it is used."""
    if not is_train or schema is None or "degradation" not in schema.TOP.model_fields:
        return
    section, dataset = opt.get("degradation"), _mapping(_mapping(opt.get("datasets")).get("train"))
    if section is None:
        if "kernel_list" in dataset and "dataroot_lq" not in dataset:
            yield Problem(
                "degradation", "is required: datasets.train gives GT images and blur kernels, but no LQ images"
            )
    elif isinstance(section, dict):
        yield from _fitting_dataset(section, dataset, _count(opt.get("scale")) or 1)
        for problem in patch_sizes({**opt, "gt_size": section.get("gt_size")}, is_train, schema):
            if problem.key != "datasets.train.gt_size":
                key = "degradation.gt_size" if problem.key == "gt_size" else problem.key
                yield replace(problem, key=key, message=problem.message.replace("gt_size", "degradation.gt_size"))


def _fitting_dataset(section: Mapping[str, Any], dataset: Mapping[str, Any], scale: int) -> Iterator[Problem]:
    if "kernel_list" not in dataset:
        yield Problem("datasets.train.type", "must be a dataset that gives blur kernels, as RealESRGANMaskDataset does")
    elif section.get("orders", 2) == 2 and dataset.get("kernel_list2") is None:
        yield Problem("datasets.train.kernel_list2", "is required with degradation.orders 2")
    default = DegradationOptions.model_fields["queue_size"].default
    queue, batch = _count(section.get("queue_size", default)), _count(dataset.get("batch_size_per_gpu"))
    if queue and batch and queue % batch:
        text = f"must be a multiple of datasets.train.batch_size_per_gpu, {batch}; got {queue}"
        yield Problem("degradation.queue_size", text)
    size, patch = _count(dataset.get("crop_pad_size")), _count(section.get("gt_size"))
    if size and patch and patch > size:
        yield Problem("degradation.gt_size", f"must be at most datasets.train.crop_pad_size, {size}; got {patch}")
    if size and size % scale:
        text = f"must be a multiple of scale, {scale}, by which the patch is reduced; got {size}"
        yield Problem("datasets.train.crop_pad_size", text)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _count(value: Any) -> int | None:
    """The value where it is a whole number above 0; anything else is told by the section's own check."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
