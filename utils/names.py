"""Find the known name that a misspelt one is meant to be."""

import difflib
from collections.abc import Iterable


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name most like `name`, or None where none is close; capitals do not count."""
    by_lower = {other.lower(): other for other in known if isinstance(other, str)}
    found = difflib.get_close_matches(str(name).lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[found[0]] if found else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return `; did you mean 'x'?` or, where nothing is near, the names there are (as far as they are few)."""
    names = sorted(str(other) for other in known)
    near = nearest(name, names)
    if near is not None:
        return f"; did you mean '{near}'?"
    return f"; known: {', '.join(names)}" if 0 < len(names) <= 12 else ""
