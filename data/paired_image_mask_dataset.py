"""LQ/GT pairs, with an optional edge mask, from folders or LMDBs; augmentation from (seed, epoch, index)."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from prismsr.data.images.partner_names import SAME, TemplateSource, check_template, describe_template
from prismsr.data.images.png_crop import CroppableImage, CroppableMask
from prismsr.data.images.source import ImageSourceError, open_source, require_same_keys
from prismsr.data.loading.sampler import sample_rng
from prismsr.utils.errors import DataError
from prismsr.utils.options.schema import IoBackendOptions, PatchOptions

import cv2
import numpy as np
import torch
from basicsr.utils import bgr2ycbcr
from basicsr.utils.registry import DATASET_REGISTRY
from pydantic import AfterValidator, Field
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.transforms.functional import normalize


class PairedMaskDatasetOptions(PatchOptions):
    """Keys of PairedImageMaskDataset: LQ and GT images and, optionally, a mask of each GT image."""

    dataroot_gt: str = Field(description="folder or .lmdb of GT images")
    dataroot_lq: str = Field(description="folder or .lmdb of LQ images")
    dataroot_gt_mask: str | None = Field(default=None, description="folder or .lmdb of masks of the GT images")
    filename_tmpl: Annotated[str, AfterValidator(check_template)] = Field(
        default=SAME, description="LQ file name made from the GT one, without extension"
    )
    color: Literal["y", "gray"] | None = Field(
        default=None,
        description="one channel for networks of one. y: BasicSR's luminance, 16/255 to 235/255; gray: 0 to 1",
    )
    io_backend: IoBackendOptions | None = Field(default=None, description="told by the paths where left out")


@DATASET_REGISTRY.register()
class PairedImageMaskDataset(Dataset):
    """BasicSR's PairedImageDataset with three differences.

    Folder or LMDB is told by the path of each root (a name ending in .lmdb is an LMDB), and both give the same batches;
    a third root may hold the edge masks; and crop, flips and rotation come from the sample's own random stream, so
    that they do not depend on the number of workers.

    Args:
        opt: the option file's section: dataroot_gt, dataroot_lq, dataroot_gt_mask (optional), gt_size (pixels),
            use_hflip, use_rot (vertical flip and transpose), mean, std, filename_tmpl and color (optional), and
            what the trainer adds (scale, phase, manual_seed).

    Returns of an item: lq (3, h, w), gt (3, h*scale, w*scale) RGB in [0, 1], of one channel with color; gt_mask
    (1, h*scale, w*scale) of 0 and 1 where there are masks, lq_path and gt_path (the key). Outside training GT is
    cropped to the size of lq * scale.

    Raises:
        ImageSourceError: a root is missing or empty, or the roots hold different keys.
        DataError: an image cannot be decoded, or has another size than its partner (both are ValueErrors too).
    """

    OPTIONS: ClassVar = PairedMaskDatasetOptions
    GIVES: ClassVar[Mapping[str, str]] = {"lq": "", "gt": "", "gt_mask": "dataroot_gt_mask"}

    def __init__(self, opt: dict[str, Any]) -> None:
        self.opt = opt
        roots = {"gt": opt["dataroot_gt"], "lq": opt["dataroot_lq"], "gt_mask": opt.get("dataroot_gt_mask")}
        self.sources = {name: open_source(root) for name, root in roots.items() if root}
        self.keys = self.sources["gt"].keys()
        lq, template = self.sources["lq"], opt.get("filename_tmpl") or SAME
        if hint := describe_template(self.keys, lq.keys(), "set filename_tmpl: {}", template):
            raise ImageSourceError(f"{opt['dataroot_gt']} and {opt['dataroot_lq']}: {hint}.")
        self.sources["lq"] = lq if template == SAME else TemplateSource(lq, template)
        for name, source in self.sources.items():
            require_same_keys(self.keys, source.keys(), opt["dataroot_gt"], str(roots[name]))

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, index: int) -> dict[str, Any]:
        key = self.keys[index]
        if self.opt["phase"] == "train":
            images = self._augment(key, sample_rng(self.opt.get("manual_seed") or 0, index))
        else:
            images = self._whole(key)
        item: dict[str, Any] = {name: _to_tensor(image, self.opt.get("color")) for name, image in images.items()}
        if self.opt.get("mean") or self.opt.get("std"):
            for name in ("lq", "gt"):
                count = len(item[name])
                mean, std = self.opt.get("mean") or [0.0] * count, self.opt.get("std") or [1.0] * count
                normalize(item[name], mean, std, inplace=True)
        # BasicSR names validation images by this path's stem; without a suffix it would cut "a.b" to "a"
        item["lq_path"] = item["gt_path"] = f"{key}.png"
        return item

    def _whole(self, key: str) -> dict[str, np.ndarray]:
        """Return the images as they are, GT and mask cut to the size of lq * scale, as BasicSR does.

        Test sets often keep rows and columns that the LQ image does not cover.
        """
        files, scale = self._open(key), self.opt["scale"]
        images = {name: file.crop(0, 0, *file.size) for name, file in files.items()}
        height, width = (side * scale for side in files["lq"].size)
        images = {name: image if name == "lq" else image[:height, :width] for name, image in images.items()}
        self._require_fitting_sizes({name: image.shape[:2] for name, image in images.items()}, key)
        return images

    def _open(self, key: str) -> dict[str, CroppableImage]:
        kinds = {"gt_mask": CroppableMask}
        return {name: kinds.get(name, CroppableImage).open(source, key) for name, source in self.sources.items()}

    def _augment(self, key: str, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Return a random crop of the images, flipped and rotated at random; only the crop is decoded."""
        files, scale = self._open(key), self.opt["scale"]
        sizes = {name: file.size for name, file in files.items()}
        self._require_fitting_sizes(sizes, key)
        size = self.opt["gt_size"] // scale
        height, width = sizes["lq"]
        if min(height, width) < size:
            where = self.sources["lq"].describe(key)
            raise DataError(f"{where} is {width}x{height}, smaller than a crop of {size}x{size} (gt_size / scale).")
        top, left = int(rng.integers(height - size + 1)), int(rng.integers(width - size + 1))
        flips = rng.random(3) < 0.5  # drawn even when unused, so that an option does not shift the stream
        result = {}
        for name, file in files.items():
            factor = 1 if name == "lq" else scale
            part = file.crop(top * factor, left * factor, size * factor, size * factor)
            result[name] = self._flip(part, flips)
        return result

    def _flip(self, image: np.ndarray, flips: np.ndarray) -> np.ndarray:
        horizontal, vertical, transpose = flips
        if self.opt.get("use_hflip") and horizontal:
            image = image[:, ::-1]
        if self.opt.get("use_rot") and vertical:
            image = image[::-1]
        if self.opt.get("use_rot") and transpose:
            image = image.swapaxes(0, 1)
        return image

    def _require_fitting_sizes(self, sizes: Mapping[str, tuple[int, ...]], key: str) -> None:
        scale = self.opt["scale"]
        height, width = sizes["lq"]
        for name in sizes.keys() - {"lq"}:
            got = sizes[name]
            if got != (height * scale, width * scale):
                raise DataError(
                    f"{self.sources['gt'].describe(key)}: {name} is {got[1]}x{got[0]}, but lq is {width}x{height} and "
                    f"scale {scale} asks for {width * scale}x{height * scale}."
                )


def _to_tensor(image: np.ndarray, color: str | None = None) -> Tensor:
    """Return a decoded image as float32 RGB (3, H, W) in [0, 1], or a mask as float32 (1, H, W) of 0 and 1.

    Images are (H, W) bool, or (H, W) grey, (H, W, 3) BGR or (H, W, 4) BGRA of 8 or 16 bits; alpha is dropped. A color,
    "y" or "gray", gives (1, H, W).
    """
    if image.dtype == bool:
        return torch.from_numpy(image[None].astype(np.float32))
    top = np.float32(np.iinfo(image.dtype).max)
    if color == "y":
        bgr = np.stack([image] * 3, 2) if image.ndim == 2 else np.ascontiguousarray(image[..., :3])
        return torch.from_numpy(bgr2ycbcr(bgr.astype(np.float32) / top, y_only=True)[None])
    if color == "gray":
        grey = image if image.ndim == 2 else cv2.cvtColor(np.ascontiguousarray(image[..., :3]), cv2.COLOR_BGR2GRAY)
        return torch.from_numpy(grey[None].astype(np.float32) / top)
    planes = np.stack([image] * 3) if image.ndim == 2 else image[..., 2::-1].transpose(2, 0, 1)
    values = np.ascontiguousarray(planes).astype(np.float32)  # first bytes in the new order, then floats: less to move
    values /= top
    return torch.from_numpy(values)
