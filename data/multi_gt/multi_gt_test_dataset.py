"""Test sets with several ground truths for an image, such as HGGT's Test-100.

Paper: AMO, table 7.
"""

from typing import Any, ClassVar

from prismsr.data.images.augmentation import Patch
from prismsr.data.images.png_crop import CroppableImage
from prismsr.data.images.source import open_source, require_same_keys
from prismsr.data.multi_gt.draws import POSITIVE, judge_versions
from prismsr.data.multi_gt.group_images import GroupImages
from prismsr.data.multi_gt.groups import SHOWN, group_keys
from prismsr.data.multi_gt.labels import read_labels
from prismsr.data.multi_gt.options import MultiGTTestOptions
from prismsr.utils.errors import DataError

import numpy as np
import torch
from basicsr.utils.registry import DATASET_REGISTRY
from torch.utils.data import Dataset


@DATASET_REGISTRY.register()
class MultiGTTestDataset(Dataset):
    """LQ images with one or several references each, over which validation takes the mean (docs/guide/multi_gt.md).

    HGGT compares with the positive versions of an image, without the original.

    Args:
        opt: the option file's section (see MultiGTTestOptions), and what the trainer adds (scale).

    Returns of an item: lq (3, h, w) and gt (3, h*scale, w*scale), the original, RGB in [0, 1]; gt_references
    (P, 3, h*scale, w*scale), the references; lq_path and gt_path (the group's name). Ground truths are cut to the size
    of lq * scale.

    Raises:
        ImageSourceError: the images do not form groups, or LQ images and originals have different names.
        DataError: labels are missing, an image has no positive version, an image cannot be decoded, or sizes do not
            fit.
    """

    OPTIONS: ClassVar = MultiGTTestOptions
    GIVES: ClassVar = ("lq", "gt", "gt_references")

    def __init__(self, opt: dict[str, Any]) -> None:
        self.opt = opt
        self.settings = settings = MultiGTTestOptions.read(opt)
        self.images, self.lq = open_source(settings.dataroot_gt), open_source(settings.dataroot_lq)
        self.groups = group_keys(self.images.keys(), settings.dataroot_gt, settings.original, settings.versions)
        originals = f"the originals of {settings.dataroot_gt}"
        require_same_keys(self.lq.keys(), self.groups.names, settings.dataroot_lq, originals)
        self.references = self._references()

    def _references(self) -> list[list[int]]:
        """Return of each group the versions that are its references."""
        count, settings = len(self.groups.names), self.settings
        if settings.references == "original":
            return [[0]] * count
        if settings.references == "all" or settings.dataroot_labels is None:
            return [list(range(len(self.groups.versions)))] * count
        codes = judge_versions(read_labels(settings.dataroot_labels), self.groups, settings.dataroot_labels).codes
        references = [np.flatnonzero(row == POSITIVE).tolist() for row in codes]
        without = [name for name, found in zip(self.groups.names, references, strict=True) if not found]
        if without:
            raise DataError(
                f"{settings.dataroot_labels}: {len(without)} of {count} groups have no positive version to compare "
                f"with, first {', '.join(without[:SHOWN])}; take them out, or choose references: original or all."
            )
        return references

    def __len__(self) -> int:
        return len(self.groups.names)

    def __getitem__(self, index: int) -> dict[str, Any]:
        name = self.groups.names[index]
        lq = CroppableImage.open(self.lq, name)
        images = GroupImages(self.images, self.groups, index)
        height, width = (side * self.opt["scale"] for side in lq.size)
        got = images.open(0).size
        if got[0] < height or got[1] < width:
            raise DataError(
                f"{self.lq.describe(name)} is {lq.size[1]}x{lq.size[0]}, and scale {self.opt['scale']} asks for "
                f"{width}x{height} at least; its original is {got[1]}x{got[0]}."
            )
        patch = Patch((False, False, False), (0, 0, height, width), None)
        return {
            "lq": Patch((False, False, False), (0, 0, *lq.size), None).of(lq),
            "gt": images.tensor(0, patch),
            "gt_references": torch.stack([images.tensor(version, patch) for version in self.references[index]]),
            # BasicSR names validation images by this path's stem; without a suffix it would cut "a.b" to "a"
            "lq_path": f"{name}.png",
            "gt_path": f"{name}.png",
        }
