"""Names of LQ images that differ from those of their GT images, as DIV2K's 0001x4.png, by BasicSR's filename_tmpl."""

from collections.abc import Collection, Mapping
from typing import TypeVar

from prismsr.data.images.source import ImageSource, ImageSourceError

SAME = "{}"
"""The template of equal names."""
Value = TypeVar("Value")


def check_template(template: str) -> str:
    """Return a template; ValueError where it does not hold {} once, or holds a folder.

    Example:
        >>> check_template("{}x4")
        '{}x4'
    """
    if template.count(SAME) != 1 or "{" in template.replace(SAME, "") or "/" in template:
        raise ValueError(f"must be a name with {{}} once for the GT image's, such as '{{}}x4'; got {template!r}")
    return template


class TemplateSource(ImageSource):
    """A set of LQ images by the keys of their GT images; the template holds for names, not for folders.

    Raises:
        ImageSourceError: an image has another name than the template's.
    """

    def __init__(self, source: ImageSource, template: str) -> None:
        keys = source.keys()
        self.stored = strip_template(dict(zip(keys, keys, strict=True)), template)
        self.source, self.template = source, template

    def keys(self) -> list[str]:
        """Return the keys of the GT images, sorted."""
        return sorted(self.stored)

    def read(self, key: str) -> bytes:
        """Return the bytes of the LQ image."""
        return self.source.read(self._stored_key(key))

    def read_part(self, key: str, start: int, stop: int) -> bytes:
        """Return a part of the bytes of the LQ image."""
        return self.source.read_part(self._stored_key(key), start, stop)

    def describe(self, key: str) -> str:
        """Return where the LQ image lies."""
        return self.source.describe(self._stored_key(key))

    def _stored_key(self, key: str) -> str:
        return self.stored.get(key, apply_template(key, self.template))


def apply_template(key: str, template: str) -> str:
    """Return the key of the LQ image that belongs to a GT image.

    Example:
        >>> apply_template("DIV2K/0001", "{}x4")
        'DIV2K/0001x4'
    """
    folder, slash, name = key.rpartition("/")
    return folder + slash + template.replace(SAME, name)


def strip_template(by_key: Mapping[str, Value], template: str) -> dict[str, Value]:
    """Return what belongs to LQ images by the keys of their GT images; ImageSourceError where a key does not fit.

    Example:
        >>> strip_template({"DIV2K/0001x4": 1}, "{}x4")
        {'DIV2K/0001': 1}
    """
    before, _, after = template.partition(SAME)
    stripped = {}
    for key, value in by_key.items():
        folder, slash, name = key.rpartition("/")
        if not (name.startswith(before) and name.endswith(after) and len(name) > len(before) + len(after)):
            raise ImageSourceError(f"{key}: its name does not fit filename_tmpl {template!r}")
        stripped[folder + slash + name[len(before) : len(name) - len(after)]] = value
    return stripped


def find_template(keys: Collection[str], lq_keys: Collection[str]) -> str | None:
    """Return the template by which all GT images have a partner; None where there is none.

    Example:
        >>> find_template(["0001", "0002"], ["0001x4", "0002x4"])
        '{}x4'
    """
    known = set(lq_keys)
    folder, _, name = min(keys, default="").rpartition("/")
    candidates = {name: SAME}
    for key in known if name else ():
        other_folder, _, other = key.rpartition("/")
        if other_folder == folder and name in other:
            candidates[other] = other.replace(name, SAME, 1)
    for template in candidates.values():  # equal names first
        if all(apply_template(key, template) in known for key in keys):
            return template
    return None


def describe_template(keys: Collection[str], lq_keys: Collection[str], advice: str, given: str = SAME) -> str:
    """Return a hint where another template than the given one fits all names, else ""; {} in `advice` stands for it.

    Example:
        >>> describe_template(["0001"], ["0001x4"], "set filename_tmpl: {}")
        "0001 has no partner, but there is 0001x4: set filename_tmpl: '{}x4'"
    """
    known = set(lq_keys)
    lonely = [key for key in keys if apply_template(key, given) not in known]
    template = find_template(keys, known) if lonely else None
    if template is None:
        return ""
    first = min(lonely)
    return f"{first} has no partner, but there is {apply_template(first, template)}: {advice.format(repr(template))}"
