"""The images of a group of ground truths; not beside their names, for which commands ask without torch."""

from prismsr.data.images.augmentation import Patch
from prismsr.data.images.png_crop import CroppableImage
from prismsr.data.images.source import ImageSource
from prismsr.data.multi_gt.groups import Groups
from prismsr.utils.errors import DataError

from torch import Tensor


class GroupImages:
    """The versions of a group, a row of `groups`; each is read and decoded at most once, and only when asked for."""

    def __init__(self, images: ImageSource, groups: Groups, row: int) -> None:
        self._images, self._keys = images, groups.keys[row]
        self._open: dict[int, CroppableImage] = {}
        self._tensors: dict[int, Tensor] = {}

    def open(self, version: int) -> CroppableImage:
        """Return the version's file; DataError where it cannot be decoded, or has another size than the original."""
        if version not in self._open:
            where = self._images.describe(self._keys[version])
            image = CroppableImage.open(self._images, self._keys[version])
            size = image.size if version == 0 else self.open(0).size
            if image.size != size:
                sizes = ["x".join(map(str, sides[::-1])) for sides in (image.size, size)]
                raise DataError(
                    f"{where} is {sizes[0]}, but its original, {self._images.describe(self._keys[0])}, is {sizes[1]}; "
                    "all versions of a group have one size."
                )
            self._open[version] = image
        return self._open[version]

    def tensor(self, version: int, patch: Patch) -> Tensor:
        """Return (3, h, w) of a version, see `Patch.of`."""
        if version not in self._tensors:
            self._tensors[version] = patch.of(self.open(version))
        return self._tensors[version]
