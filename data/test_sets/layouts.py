"""What a test set is, and how its files lie in its published archives."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar, Literal

Kind = Literal["bicubic", "crops", "real", "multi_gt", "degraded"]
Size = tuple[int, int]
"""(height, width) in pixels."""
_NAME = r"(?P<name>[^/.][^/]*?)"


@dataclass(frozen=True)
class Layout:
    """The places of a set's files in an archive.

    Attributes:
        said: what the layout is called, for messages and records.
        files: for each folder of the arranged set a regular expression, searched (capitals do not count) in
            "ARCHIVE/path/in/it", where ARCHIVE is the archive's name without its extension. Its group `name` is the
            name of the file in the arranged set, without extension; a group `folder`, if any, a subfolder.
    """

    said: str
    files: Mapping[str, str]

    @cached_property
    def _patterns(self) -> list[tuple[str, "re.Pattern[str]"]]:
        return [(folder, re.compile(rf"(?:^|/){pattern}", re.IGNORECASE)) for folder, pattern in self.files.items()]

    def target(self, path: str) -> str | None:
        """Return where a file of the archive goes, e.g. "GT/baby", or None where the set has no use for it."""
        for folder, pattern in self._patterns:
            found = pattern.search(path)
            if found is not None:
                parts = found.groupdict()
                return "/".join(part for part in (folder, parts.get("folder"), parts["name"]) if part)
        return None

    def sort(self, paths: Iterable[str]) -> dict[str, str]:
        """Return the files of a set, by where they go; of several for one place the first counts."""
        sorted_files: dict[str, str] = {}
        for path in paths:
            target = self.target(path)
            if target is not None:
                sorted_files.setdefault(target, path)
        return sorted_files


@dataclass(frozen=True)
class Sizes:
    """What is known of the GT images' sizes, after cropping to the set's multiple.

    Attributes:
        all: the size of each image, in any order.
        among: each image has one of these.
        longer: the longer side of each image.
    """

    all: tuple[Size, ...] = ()
    among: tuple[Size, ...] = ()
    longer: int | None = None


@dataclass(frozen=True)
class TestSet:
    """A test set.

    Attributes:
        name: its name and that of its folder.
        kind: bicubic (GT images; LR images are made here), crops or real (pairs as published), multi_gt (pairs, with
            several GT images each), degraded (LR images made here from another set's GT).
        count: number of LR images, which is that of the GT images in all sets but multi_gt.
        gt: folder of the GT images from the repository's root; None where there are none. In a multi_gt set its
            subfolders are the versions, the original among them.
        lq: folder of the LR images, with the GT images' names.
        counts: files in each folder of the arranged set that comes from the archive.
        scale: GT size / LR size.
        multiple: GT sides are cropped to multiples of this; 1 leaves the files as they are.
        note: what to know before using it.
        source: address of the page or file.
        licence: its terms.
        tables: the papers' tables that use it.
        archives: names of files or folders in the downloads folder, as shell patterns.
        layouts: the ways in which its files lie in them.
        names: names of all images, where they are known.
        sizes: what is known of the GT sizes.
        lq_size: size of all LR images, where they have one.
    """

    __test__: ClassVar[bool] = False  # no test class, whatever pytest makes of the name

    name: str
    kind: Kind
    count: int
    gt: str | None
    lq: str
    counts: Mapping[str, int]
    source: str
    tables: tuple[str, ...]
    licence: str = "none stated by those who distribute it; for research by custom"
    note: str = ""
    archives: tuple[str, ...] = ()
    layouts: tuple[Layout, ...] = ()
    scale: int = 4
    multiple: int = 1
    names: tuple[str, ...] = ()
    sizes: Sizes = field(default_factory=Sizes)
    lq_size: Size | None = None


def classic(folder: str, suffixes: str) -> tuple[Layout, ...]:
    """Return the layouts of the bicubic benchmarks, by regular expressions of folder and suffixes ("png|bmp")."""
    end = rf"\.(?:{suffixes})$"
    inner = {"BasicSR, GTmod12": "GTmod12", "BasicSR, original": "original", "EDSR, HR": "HR", "GT": "GT"}
    return (
        *(Layout(said, {"GT": rf"{folder}/{name}/{_NAME}{end}"}) for said, name in inner.items()),
        Layout("SelfExSR, factor 4", {"GT": rf"{folder}/image_SRF_4/{_NAME}_SRF_4_HR{end}"}),
        Layout("images alone", {"GT": rf"{folder}/{_NAME}{end}"}),
    )


def stablesr(folder: str, gt: bool) -> tuple[Layout, ...]:
    """Return the layouts of StableSR's test sets; names lose what tells HR from LR (_HR, _LR4, _x1, _x4)."""
    end = rf"{_NAME}(?:_HR|_LR4?|_x1|_x4)?\.png$"
    layouts = []
    for hr, lr in (("test_HR", "test_LR"), ("gt", "lq"), ("HR", "LR")):
        files = {"GT": rf"{folder}/{hr}/{end}"} if gt else {}
        layouts.append(Layout(f"{hr}, {lr}" if gt else lr, {**files, "LR": rf"{folder}/{lr}/{end}"}))
    if not gt:
        layouts.append(Layout("images alone", {"LR": rf"{folder}/{end}"}))
    return tuple(layouts)
