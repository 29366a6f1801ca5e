"""Read parts of an option file that may be missing or wrong, for rules which leave the report of that to others."""

from collections.abc import Mapping
from typing import Any

Opt = Mapping[str, Any]
"""An option file, or a part of it."""


def section(opt: Any, *keys: str) -> dict[str, Any]:
    """Return the mapping at a key path, and an empty one where there is none.

    Args:
        opt: an option file or a part of it.
        keys: one key for each level; none for `opt` itself.

    Example:
        >>> section({"train": {"losses": {"l_pix": None}}}, "train", "losses")
        {'l_pix': None}
        >>> section({"train": "oops"}, "train", "losses")
        {}
    """
    for key in keys:
        opt = opt.get(key) if isinstance(opt, Mapping) else None
    return dict(opt) if isinstance(opt, Mapping) else {}


def number(value: Any) -> float | None:
    """Return a value that is a number, and None for anything else; true and false are none."""
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def count(value: Any) -> int | None:
    """Return a value that is a whole number above 0, and None for anything else."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
