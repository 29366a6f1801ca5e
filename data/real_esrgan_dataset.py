"""GT images and blur kernels for Real-ESRGAN's degradation, with an optional edge mask, from folders or LMDBs."""

from collections.abc import Mapping
from typing import Any, ClassVar

from prismsr.data.degradation.kernel_options import RealESRGANMaskOptions
from prismsr.data.degradation.kernels import ItemKernels, global_generators_from
from prismsr.data.images.augmentation import random_patch
from prismsr.data.images.masked import MaskedImages
from prismsr.data.loading.sampler import sample_rng

from basicsr.utils.registry import DATASET_REGISTRY
from torch.utils.data import Dataset


@DATASET_REGISTRY.register()
class RealESRGANMaskDataset(Dataset):
    """BasicSR's RealESRGANDataset with masks, LMDB or folder told by the path, and settings where it has constants.

    Flips, crop and kernels are drawn from Python's and NumPy's global generators in BasicSR's order; within an item
    these are seeded from the sample's own random stream, so that they do not depend on the number of workers. With
    `crop: ldm` the crop is latent diffusion's (see random_patch), and there are no masks.

    Args:
        opt: the option file's section (see RealESRGANMaskOptions), and what the trainer adds (manual_seed).

    Returns of an item: gt (3, H, W) RGB in [0, 1]; kernel1, and with kernel_list2 also kernel2 and sinc_kernel, (k, k);
    gt_mask (1, H, W) of 0 and 1 where there are masks; gt_path (the key).

    Raises:
        ImageSourceError: a root is missing or empty, or masks and images have different keys.
        DataError: an image cannot be decoded, or its mask has another size.
    """

    OPTIONS: ClassVar = RealESRGANMaskOptions
    GIVES: ClassVar[Mapping[str, str]] = {"gt": "", "gt_mask": "dataroot_gt_mask"}
    """Without the kernels, which the degradation uses up."""

    def __init__(self, opt: dict[str, Any]) -> None:
        self.opt = opt
        self.settings = RealESRGANMaskOptions.read(opt)
        self.images = MaskedImages(self.settings.dataroot_gt, self.settings.dataroot_gt_mask)
        self.keys = self.images.keys
        self.kernels = ItemKernels.read(self.settings.model_dump())

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, index: int) -> dict[str, Any]:
        key = self.keys[index]
        image, mask = self.images.read(key)
        with global_generators_from(sample_rng(self.opt.get("manual_seed") or 0, index)):
            patch = random_patch(image.size, **self.settings.augmentation())
            item: dict[str, Any] = {"gt": patch.of(image)}
            if mask is not None:
                item["gt_mask"] = patch.cut_mask(mask)
            item.update(self.kernels.draw())
        return {**item, "gt_path": f"{key}.png"}
