"""LQ/GT pairs of one size with the latents of GT, made beforehand by `tools/prepare.py latents`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

from prismsr.data.paired_image_mask_dataset import PairedImageMaskDataset, PairedMaskDatasetOptions
from prismsr.utils.errors import DataError

import numpy as np
import torch
from basicsr.utils.registry import DATASET_REGISTRY
from pydantic import Field


class LatentPairsOptions(PairedMaskDatasetOptions):
    """Keys of LatentPairsDataset."""

    dataroot_latents: str = Field(description="folder that `prepare.py latents` made of dataroot_gt")
    use_hflip: Literal[False] = Field(default=False, description="latents are not flipped")
    use_rot: Literal[False] = Field(default=False, description="latents are not rotated")


@DATASET_REGISTRY.register()
class LatentPairsDataset(PairedImageMaskDataset):
    """PairedImageMaskDataset for training without augmentation, with `gt_latents`: the VAE's posterior of GT.

    Crops and flips would need other latents, so that GT images are of gt_size, and use_hflip and use_rot false.

    Args:
        opt: as PairedImageMaskDataset's, and dataroot_latents.

    Returns of an item: as PairedImageMaskDataset's, and gt_latents (8, gt_size / 8, gt_size / 8) float32, mean and log
    variance.

    Raises:
        DataError: an image is larger than gt_size, or its latents are missing or do not fit.
    """

    OPTIONS: ClassVar[type[PairedMaskDatasetOptions]] = LatentPairsOptions
    GIVES: ClassVar[Mapping[str, str]] = {**PairedImageMaskDataset.GIVES, "gt_latents": ""}

    def __getitem__(self, index: int) -> dict[str, Any]:
        item = super().__getitem__(index)
        key = Path(item["gt_path"]).with_suffix("").as_posix()
        path = Path(self.opt["dataroot_latents"]) / f"{key}.npy"
        try:
            moments = np.load(path, allow_pickle=False)
        except (OSError, ValueError) as error:
            raise DataError(
                f"{path}: no latents of image {key} ({error}); make them by tools/prepare.py latents"
            ) from error
        whole = self._open(key)["gt"].size
        if whole != tuple(item["gt"].shape[-2:]):
            raise DataError(f"{key}: latents are of the whole image, {whole[1]}x{whole[0]}; gt_size must be that")
        return {**item, "gt_latents": torch.from_numpy(moments).float()}
