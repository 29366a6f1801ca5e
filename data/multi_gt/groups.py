"""Groups of ground truths: the original and the enhanced versions of each image, found by their names.

Paper: AMO, after HGGT.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from prismsr.data.images.source import ImageSourceError
from prismsr.utils.names import did_you_mean

SHOWN = 5


class Groups(NamedTuple):
    """The images of a set, by group and version.

    Attributes:
        versions: names of the versions, the original first.
        names: names of the groups, sorted: the originals' keys without their folder.
        keys: of each group the keys of its versions, in the order of `versions`.
    """

    versions: tuple[str, ...]
    names: list[str]
    keys: list[tuple[str, ...]]


def group_keys(
    keys: Iterable[str], root: str, original: str = "original", versions: Sequence[str] | None = None
) -> Groups:
    """Put the keys of a set together to groups.

    The first part of a key's path is the version, the rest the group's name; HGGT's names end in the version, too
    (original/0001-1-2, 01/0001-1-2_01). Each version has names of one of the two kinds. LQ images are made from
    `original`; `versions` are the others, in this order; None: all there are, sorted.

    Raises:
        ImageSourceError: a version is not there, or it lacks the image of a group or has one that belongs to none.
    """
    held: dict[str, set[str]] = defaultdict(set)
    for key in keys:
        version, _, name = key.partition("/")
        held[version].add(name)
    others = sorted(held.keys() - {original}) if versions is None else list(versions)
    _require_versions(held, root, (original, *others), original)
    names = sorted(held[original])
    columns = [[f"{original}/{name}" for name in names]]
    columns += [_column(version, names, held[version], root) for version in others]
    return Groups((original, *others), names, list(zip(*columns, strict=True)))


def _require_versions(held: dict[str, set[str]], root: str, wanted: Sequence[str], original: str) -> None:
    plain = {version for version, names in held.items() if names == {""}}  # images that lie in no folder
    folders = sorted(held.keys() - plain)
    if plain:
        raise ImageSourceError(
            f"{root}: {len(plain)} images lie outside of the versions' folders, first {_show(plain)}; each image "
            f"must lie in the folder of its version, as {original}/NAME.png"
        )
    for version in wanted:
        if version in held:
            continue
        deeper = {name.split("/")[0] for names in held.values() for name in names if "/" in name}
        inside = f"; there is one in {root}/{folders[0]}, which may be meant" if version in deeper else ""
        kind = "datasets.*.original" if version == original else "datasets.*.versions"
        known = inside or did_you_mean(version, folders)
        raise ImageSourceError(f"{root}: no folder of the version {version!r} ({kind}){known}")


def _column(version: str, names: list[str], held: set[str], root: str) -> list[str]:
    """Return the version's key of each group."""
    styles = [names, [f"{name}_{version}" for name in names]]
    wanted = max(styles, key=lambda style: len(held.intersection(style)))
    missing, extra = set(wanted) - held, held.difference(wanted)
    told = [f"{len(missing)} groups lack their image in {version}, first {_show(missing)}"] if missing else []
    told += [f"{len(extra)} images in {version} belong to no original, first {_show(extra)}"] if extra else []
    if told:
        raise ImageSourceError(f"{root}: {'; '.join(told)}")
    return [f"{version}/{name}" for name in wanted]


def _show(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)[:SHOWN])
