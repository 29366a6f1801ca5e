"""LQ/GT pairs, with an optional edge mask, from folders or LMDBs; augmentation from (seed, epoch, index)."""

from typing import Any, ClassVar

from prismsr.data.image_source import ImageSourceError, open_source
from prismsr.data.sampler import sample_rng
from prismsr.utils.images import decode_image, decode_mask
from prismsr.utils.jobs import DataError
from prismsr.utils.option_schema import PairedMaskDatasetOptions

import numpy as np
import torch
from basicsr.utils.registry import DATASET_REGISTRY
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.transforms.functional import normalize


@DATASET_REGISTRY.register()
class PairedImageMaskDataset(Dataset):
    """BasicSR's PairedImageDataset with three differences.

    Folder or LMDB is told by the path of each root (a name ending in .lmdb is an LMDB), and both give the same batches;
    a third root may hold the edge masks; and crop, flips and rotation come from the sample's own random stream, so
    that they do not depend on the number of workers.

    Args:
        opt: the option file's section: dataroot_gt, dataroot_lq, dataroot_gt_mask (optional), gt_size (pixels),
            use_hflip, use_rot (vertical flip and transpose), mean and std (optional), and what the trainer adds (scale,
            phase, manual_seed).

    Returns of an item: lq (3, h, w), gt (3, h*scale, w*scale) RGB in [0, 1], gt_mask (1, h*scale, w*scale) of 0 and 1
    where there are masks, lq_path and gt_path (the key). Outside training GT is cropped to the size of lq * scale.

    Raises:
        ImageSourceError: a root is missing or empty, or the roots hold different keys.
        DataError: an image cannot be decoded, or has another size than its partner (both are ValueErrors too).
    """

    OPTIONS: ClassVar = PairedMaskDatasetOptions

    def __init__(self, opt: dict[str, Any]) -> None:
        self.opt = opt
        roots = {"gt": opt["dataroot_gt"], "lq": opt["dataroot_lq"], "gt_mask": opt.get("dataroot_gt_mask")}
        self.sources = {name: open_source(root) for name, root in roots.items() if root}
        self.keys = self.sources["gt"].keys()
        for name, source in self.sources.items():
            _require_same_keys(self.keys, source.keys(), opt["dataroot_gt"], str(roots[name]))

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, index: int) -> dict[str, Any]:
        key = self.keys[index]
        images = {name: self._read(name, key) for name in self.sources}
        if self.opt["phase"] != "train":  # as BasicSR: test sets often keep rows that the LQ image does not cover
            height, width = (side * self.opt["scale"] for side in images["lq"].shape[:2])
            images = {name: image if name == "lq" else image[:height, :width] for name, image in images.items()}
        _require_fitting_sizes(images, self.opt["scale"], self.sources["gt"].describe(key))
        if self.opt["phase"] == "train":
            images = self._augment(images, sample_rng(self.opt.get("manual_seed") or 0, index), key)
        item: dict[str, Any] = {name: _to_tensor(image) for name, image in images.items()}
        if self.opt.get("mean") or self.opt.get("std"):
            for name in ("lq", "gt"):
                normalize(item[name], self.opt.get("mean") or [0.0] * 3, self.opt.get("std") or [1.0] * 3, inplace=True)
        # BasicSR names validation images by this path's stem; without a suffix it would cut "a.b" to "a"
        item["lq_path"] = item["gt_path"] = f"{key}.png"
        return item

    def _read(self, name: str, key: str) -> np.ndarray:
        """Image as float32 RGB (H, W, 3) in [0, 1], mask as float32 (H, W, 1) of 0 and 1."""
        source = self.sources[name]
        content, where = source.read(key), source.describe(key)
        if name == "gt_mask":
            return decode_mask(content, where).astype(np.float32)[..., None]
        return _to_rgb_float(decode_image(content, where))

    def _augment(self, images: dict[str, np.ndarray], rng: np.random.Generator, key: str) -> dict[str, np.ndarray]:
        scale, gt_size = self.opt["scale"], self.opt["gt_size"]
        size = gt_size // scale
        height, width = images["lq"].shape[:2]
        if min(height, width) < size:
            where = self.sources["lq"].describe(key)
            raise DataError(f"{where} is {width}x{height}, smaller than a crop of {size}x{size} (gt_size / scale).")
        top, left = rng.integers(height - size + 1), rng.integers(width - size + 1)
        flips = rng.random(3) < 0.5  # drawn even when unused, so that an option does not shift the stream
        result = {}
        for name, image in images.items():
            factor = 1 if name == "lq" else scale
            y, x, side = top * factor, left * factor, size * factor
            result[name] = self._flip(image[y : y + side, x : x + side], flips)
        return result

    def _flip(self, image: np.ndarray, flips: np.ndarray) -> np.ndarray:
        horizontal, vertical, transpose = flips
        if self.opt.get("use_hflip") and horizontal:
            image = image[:, ::-1]
        if self.opt.get("use_rot") and vertical:
            image = image[::-1]
        if self.opt.get("use_rot") and transpose:
            image = image.transpose(1, 0, 2)
        return image


def _to_rgb_float(image: np.ndarray) -> np.ndarray:
    """Decoded image (grey, BGR or BGRA; 8 or 16 bits) as float32 RGB in [0, 1]; alpha is dropped."""
    if image.ndim == 2:
        image = np.repeat(image[..., None], 3, axis=2)
    return image[..., 2::-1].astype(np.float32) / np.float32(np.iinfo(image.dtype).max)


def _to_tensor(image: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))


def _require_same_keys(keys: list[str], others: list[str], root: str, other_root: str) -> None:
    missing = sorted(set(keys) ^ set(others))
    if missing:
        shown = ", ".join(missing[:5])
        raise ImageSourceError(
            f"{root} and {other_root} do not hold the same images: {len(missing)} differ, first {shown}."
        )


def _require_fitting_sizes(images: dict[str, np.ndarray], scale: int, where: str) -> None:
    height, width = images["lq"].shape[:2]
    for name in images.keys() - {"lq"}:
        got = images[name].shape[:2]
        if got != (height * scale, width * scale):
            raise DataError(
                f"{where}: {name} is {got[1]}x{got[0]}, but lq is {width}x{height} and scale {scale} asks for "
                f"{width * scale}x{height * scale}."
            )
