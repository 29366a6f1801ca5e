"""GT images and blur kernels for Real-ESRGAN's degradation, with an optional edge mask, from folders or LMDBs."""

import random
from typing import Any, ClassVar

from prismsr.data.blur_kernels import KernelSettings, global_generators_from, random_blur_kernel, random_sinc_kernel
from prismsr.data.image_source import ImageSourceError, open_source
from prismsr.data.png_crop import CroppableImage, CroppableMask
from prismsr.data.real_esrgan_options import RealESRGANMaskOptions
from prismsr.data.sampler import sample_rng
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

    def _read(self, key: str) -> tuple[CroppableImage, CroppableMask | None]:
        image = CroppableImage(self.images.read(key), self.images.describe(key))
        if self.masks is None:
            return image, None
        mask = CroppableMask(self.masks.read(key), self.masks.describe(key))
        if mask.size != image.size:
            sizes = ["x".join(map(str, part.size[::-1])) for part in (mask, image)]
            raise DataError(f"{self.masks.describe(key)} is {sizes[0]}, but its image is {sizes[1]}.")
        return image, mask

    def _augmented(self, image: CroppableImage, mask: CroppableMask | None) -> dict[str, Any]:
        """Flipped, rotated, and cut or mirrored to crop_pad_size; only what remains is decoded."""
        flips = (
            self.settings.use_hflip and random.random() < 0.5,
            self.settings.use_rot and random.random() < 0.5,
            self.settings.use_rot and random.random() < 0.5,
        )
        height, width = image.size[::-1] if flips[2] else image.size
        size = self.settings.crop_pad_size
        top = left = 0
        if size is not None and max(height, width) > size:
            top = random.randint(0, max(height, size) - size)
            left = random.randint(0, max(width, size) - size)
        region = _before_flips(top, left, height - top, width - left, size, flips, image.size)
        item = {"gt": _to_tensor(_padded(_flip(_colour(image.crop(*region)), *flips), size))}
        if mask is not None:
            part = mask.crop(*region).astype(np.uint8)[..., None] * 255
            item["gt_mask"] = _to_tensor(_padded(_flip(part, *flips), size))
        return item


def _before_flips(
    top: int,
    left: int,
    below: int,
    beside: int,
    size: int | None,
    flips: tuple[bool, bool, bool],
    shape: tuple[int, int],
) -> tuple[int, int, int, int]:
    """Top, left, height and width, in the file, of the patch that begins at (top, left) of the flipped image."""
    height, width = (min(side, size or side) for side in (below, beside))
    horizontal, vertical, transpose = flips
    if transpose:
        top, left, height, width = left, top, width, height
    if vertical:
        top = shape[0] - top - height
    if horizontal:
        left = shape[1] - left - width
    return top, left, height, width


def _colour(image: NDArray[Any]) -> NDArray[Any]:
    """(H, W, 3) BGR of a decoded grey, BGR or BGRA image."""
    return np.repeat(image[..., None], 3, axis=2) if image.ndim == 2 else image[..., :3]


def _flip(image: NDArray[Any], horizontal: bool, vertical: bool, transpose: bool) -> NDArray[Any]:
    if horizontal:
        image = image[:, ::-1]
    if vertical:
        image = image[::-1]
    return image.transpose(1, 0, 2) if transpose else image


def _padded(image: NDArray[Any], size: int | None) -> NDArray[Any]:
    """Mirrored at the lower and right border where it is smaller than `size`; ~: the image."""
    missing = [max(0, (size or 0) - side) for side in image.shape[:2]]
    if not any(missing):
        return image
    padded = cv2.copyMakeBorder(np.ascontiguousarray(image), 0, missing[0], 0, missing[1], cv2.BORDER_REFLECT_101)
    return padded.reshape(*padded.shape[:2], -1)


def _to_tensor(image: NDArray[Any]) -> Tensor:
    """(C, H, W) float32 in [0, 1] of a mask or, as RGB, of a BGR image."""
    planes = image.transpose(2, 0, 1)
    planes = np.ascontiguousarray(planes[::-1] if len(planes) == 3 else planes)
    return torch.from_numpy(planes).float().div_(np.iinfo(image.dtype).max)
