"""GT images and their LQ images by BSRGAN's degradation, with an optional edge mask, from folders or LMDBs."""

from collections.abc import Mapping
from typing import Any, ClassVar

from prismsr.data.degradation.bsrgan import degrade_bsrgan
from prismsr.data.degradation.bsrgan_options import BSRGANMaskOptions, BSRGANRanges
from prismsr.data.degradation.kernels import global_generators_from
from prismsr.data.images.augmentation import random_patch
from prismsr.data.images.masked import MaskedImages
from prismsr.data.loading.sampler import sample_rng

import numpy as np
import torch
from basicsr.utils.registry import DATASET_REGISTRY
from torch import Tensor
from torch.utils.data import Dataset


@DATASET_REGISTRY.register()
class BSRGANMaskDataset(Dataset):
    """LQ/GT pairs that the loading processes make: a crop of GT, flipped, and its LQ by BSRGAN's degradation.

    All is drawn from the sample's own random stream, of (seed, epoch, index): it does not depend on the number of
    workers. The mask is cut and flipped with its image (the release leaves it as it was, so that it fits 1 of 8).

    Args:
        opt: the option file's section (see BSRGANMaskOptions), and what the trainer adds (scale, manual_seed).

    Returns of an item: lq (3, gt_size / scale, gt_size / scale) and gt (3, gt_size, gt_size), RGB in [0, 1]; gt_mask
    (1, gt_size, gt_size) of 0 and 1 where there are masks; lq_path and gt_path (the key).

    Raises:
        ImageSourceError: a root is missing or empty, or masks and images have different keys.
        DataError: an image cannot be decoded, or its mask has another size.
    """

    OPTIONS: ClassVar = BSRGANMaskOptions
    GIVES: ClassVar[Mapping[str, str]] = {"lq": "", "gt": "", "gt_mask": "dataroot_gt_mask"}

    def __init__(self, opt: dict[str, Any]) -> None:
        self.opt = opt
        self.images = MaskedImages(opt["dataroot_gt"], opt.get("dataroot_gt_mask"))
        self.keys = self.images.keys
        self.ranges = BSRGANRanges.read(opt)

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, index: int) -> dict[str, Any]:
        key = self.keys[index]
        image, mask = self.images.read(key)
        rng = sample_rng(self.opt.get("manual_seed") or 0, index)
        with global_generators_from(rng):
            patch = random_patch(image.size, self.opt["use_hflip"], self.opt["use_rot"], self.opt["gt_size"])
        gt = patch.of(image)
        item: dict[str, Any] = {"lq": self._degrade(gt, rng), "gt": gt}
        if mask is not None:
            item["gt_mask"] = patch.cut_mask(mask)
        return {**item, "lq_path": f"{key}.png", "gt_path": f"{key}.png"}

    def _degrade(self, gt: Tensor, rng: np.random.Generator) -> Tensor:
        image = np.ascontiguousarray(gt.permute(1, 2, 0).numpy())
        lq = degrade_bsrgan(image, self.opt["scale"], rng, self.ranges)
        return torch.from_numpy(np.ascontiguousarray(lq.transpose(2, 0, 1), dtype=np.float32))
