"""Images with masks of the same keys and sizes."""

from prismsr.data.images.png_crop import CroppableImage, CroppableMask
from prismsr.data.images.source import open_source, require_same_keys
from prismsr.utils.errors import DataError


class MaskedImages:
    """Images and, where there is a second root, their masks; of each only what is cut out will be decoded.

    Both roots are a folder or .lmdb.

    Raises:
        ImageSourceError: a root is missing or empty, or masks and images have different keys.
    """

    def __init__(self, root: str, mask_root: str | None) -> None:
        self.images = open_source(root)
        self.keys = self.images.keys()
        self.masks = open_source(mask_root) if mask_root else None
        if self.masks is not None:
            require_same_keys(self.keys, self.masks.keys(), root, str(mask_root))

    def read(self, key: str) -> tuple[CroppableImage, CroppableMask | None]:
        """Return an image and its mask, None without masks; DataError where one is unreadable or their sizes differ."""
        image = CroppableImage.open(self.images, key)
        if self.masks is None:
            return image, None
        mask = CroppableMask.open(self.masks, key)
        if mask.size != image.size:
            sizes = ["x".join(map(str, part.size[::-1])) for part in (mask, image)]
            raise DataError(f"{self.masks.describe(key)} is {sizes[0]}, but its image is {sizes[1]}.")
        return image, mask
