"""GT images and blur kernels for Real-ESRGAN's degradation, with an optional edge mask, from folders or LMDBs."""

import random
from typing import Any, ClassVar

from prismsr.data.blur_kernels import KernelSettings, global_generators_from, random_blur_kernel, random_sinc_kernel
from prismsr.data.image_source import ImageSourceError, open_source
from prismsr.data.real_esrgan_options import RealESRGANMaskOptions
from prismsr.data.sampler import sample_rng
from prismsr.utils.images import decode_image, decode_mask
from prismsr.utils.jobs import DataError

import cv2
import numpy as np
import torch
from basicsr.utils.registry import DATASET_REGISTRY
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset


@DATASET_REGISTRY.register()
class RealESRGANMaskDataset(Dataset):
    """BasicSR's RealESRGANDataset with masks, LMDB or folder told by the path, and settings where it has constants.

    Flips, crop and kernels are drawn from Python's and NumPy's global generators in BasicSR's order; within an item
    these are seeded from the sample's own random stream, so that they do not depend on the number of workers.

    Args:
        opt: the option file's section (see RealESRGANMaskOptions), and what the trainer adds (manual_seed).

    Returns of an item: gt (3, H, W) RGB in [0, 1]; kernel1, and with kernel_list2 also kernel2 and sinc_kernel, (k, k);
    gt_mask (1, H, W) of 0 and 1 where there are masks; gt_path (the key).

    Raises:
        ImageSourceError: a root is missing or empty, or masks and images have different keys.
        DataError: an image cannot be decoded, or its mask has another size.
    """

    OPTIONS: ClassVar = RealESRGANMaskOptions

    def __init__(self, opt: dict[str, Any]) -> None:
        self.opt = opt
        self.settings = RealESRGANMaskOptions.model_validate(
            {key: value for key, value in opt.items() if key in RealESRGANMaskOptions.model_fields}
        )
        self.images = open_source(self.settings.dataroot_gt)
        self.keys = self.images.keys()
        root = self.settings.dataroot_gt_mask
        self.masks = open_source(root) if root else None
        if self.masks is not None and (other := sorted(set(self.keys) ^ set(self.masks.keys()))):
            raise ImageSourceError(
                f"{self.settings.dataroot_gt} and {root} do not hold the same images: {len(other)} differ, "
                f"first {', '.join(other[:5])}."
            )
        options = self.settings.model_dump()
        self.first = KernelSettings.read(options)
        self.second = KernelSettings.read(options, "2") if self.settings.kernel_list2 else None

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, index: int) -> dict[str, Any]:
        key = self.keys[index]
        image, mask = self._read(key)
        with global_generators_from(sample_rng(self.opt.get("manual_seed") or 0, index)):
            item = self._augmented(image, mask)
            item["kernel1"] = random_blur_kernel(self.first)
            if self.second is not None:
                item["kernel2"] = random_blur_kernel(self.second)
                # the sides of the second order, as the HGGT release has it; BasicSR has one range for all
                item["sinc_kernel"] = random_sinc_kernel(self.second, self.settings.final_sinc_prob or 0)
        return {**item, "gt_path": f"{key}.png"}

    def _read(self, key: str) -> tuple[NDArray[Any], NDArray[np.uint8] | None]:
        """Image as (H, W, 3) BGR of 8 or 16 bits and mask as (H, W, 1) of 0 and 255."""
        image = decode_image(self.images.read(key), self.images.describe(key))
        image = np.repeat(image[..., None], 3, axis=2) if image.ndim == 2 else image[..., :3]
        if self.masks is None:
            return image, None
        mask = decode_mask(self.masks.read(key), self.masks.describe(key)).astype(np.uint8)[..., None] * 255
        if mask.shape[:2] != image.shape[:2]:
            sizes = ["x".join(map(str, part.shape[1::-1])) for part in (mask, image)]
            raise DataError(f"{self.masks.describe(key)} is {sizes[0]}, but its image is {sizes[1]}.")
        return image, mask

    def _augmented(self, image: NDArray[Any], mask: NDArray[np.uint8] | None) -> dict[str, Any]:
        """Flipped, rotated, and cut or mirrored to crop_pad_size; only what remains is turned into float32."""
        flips = (
            self.settings.use_hflip and random.random() < 0.5,
            self.settings.use_rot and random.random() < 0.5,
            self.settings.use_rot and random.random() < 0.5,
        )
        height, width = image.shape[1::-1] if flips[2] else image.shape[:2]
        size = self.settings.crop_pad_size
        top = left = 0
        if size is not None and max(height, width) > size:
            top = random.randint(0, max(height, size) - size)
            left = random.randint(0, max(width, size) - size)
        parts = {"gt": image} if mask is None else {"gt": image, "gt_mask": mask}
        parts = {name: _patch(_flip(part, *flips), top, left, size) for name, part in parts.items()}
        return {name: _to_tensor(part) for name, part in parts.items()}


def _flip(image: NDArray[Any], horizontal: bool, vertical: bool, transpose: bool) -> NDArray[Any]:
    if horizontal:
        image = image[:, ::-1]
    if vertical:
        image = image[::-1]
    return image.transpose(1, 0, 2) if transpose else image


def _patch(image: NDArray[Any], top: int, left: int, size: int | None) -> NDArray[Any]:
    """The patch of this side, mirrored at the lower and right border where the image is smaller; ~: the image."""
    if size is None:
        return image
    image = image[top : top + size, left : left + size]
    missing = [max(0, size - side) for side in image.shape[:2]]
    if not any(missing):
        return image
    padded = cv2.copyMakeBorder(np.ascontiguousarray(image), 0, missing[0], 0, missing[1], cv2.BORDER_REFLECT_101)
    return padded.reshape(size, size, -1)


def _to_tensor(image: NDArray[Any]) -> Tensor:
    """(C, H, W) float32 in [0, 1] of a mask or, as RGB, of a BGR image."""
    planes = image.transpose(2, 0, 1)
    planes = np.ascontiguousarray(planes[::-1] if len(planes) == 3 else planes)
    return torch.from_numpy(planes).float().div_(np.iinfo(image.dtype).max)
