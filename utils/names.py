"""Find the known name that a misspelt one is meant to be; list names in a message."""

import difflib
import re
from collections.abc import Iterable, Sequence

_SHORT, _LONG = 5, 9
"""Letters from which on a word may have one typo of any kind, and two."""
_LISTED = 300
"""Characters that a list of known names may take in a message."""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that `name` is a typo of, or None.

    Capitals and separators do not count. A word may miss, double or swap a letter, or have an s too much.
    From 5 letters on it may have one wrong letter, from 9 on two. All else is another word: `lq` is no misspelt `gt`.

    Example:
        >>> nearest("loss_wieght", ["loss_weight", "reduction"])
        'loss_weight'
        >>> nearest("DISTSLoss", ["NoiseLoss"])
    """
    edits = {other: _count_edits(str(name), other) for other in known if isinstance(other, str)}
    near = sorted((count, other) for other, count in edits.items() if count is not None)
    return near[0][1] if near else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return `; did you mean 'x'?` or, where nothing is near, the names there are: all, or those most like it."""
    names = sorted(str(other) for other in known)
    near = nearest(name, names)
    if near is not None:
        return f"; did you mean '{near}'?"
    listed = ", ".join(names)
    if len(listed) > _LISTED:
        alike = ", ".join(difflib.get_close_matches(name, names, n=len(names), cutoff=0))
        listed = f"{alike[:_LISTED].rpartition(', ')[0]}, ... ({len(names)} in all)"
    return f"; known: {listed}" if names else ""


def list_first(names: Sequence[str], shown: int = 10) -> str:
    """Return the first names, and the number of the others.

    Example:
        >>> list_first(["a", "b", "c"], 2)
        'a, b and 1 more'
    """
    rest = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + rest


def _count_edits(name: str, known: str) -> int | None:
    """Number of typos between two names, or None where they are different names."""
    ours, theirs = _split_words(name), _split_words(known)
    if len(ours) != len(theirs) or "".join(ours) == "".join(theirs):  # a separator more or less: one long word
        ours, theirs = ["".join(ours)], ["".join(theirs)]
    edits = [0 if a == b else _count_word_edits(a, b) for a, b in zip(ours, theirs, strict=True)]
    return None if None in edits else sum(filter(None, edits))


def _split_words(name: str) -> list[str]:
    return [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\da-zA-Z_]+", name)]


def _count_word_edits(word: str, known: str) -> int | None:
    if re.sub(r"\D", "", word) != re.sub(r"\D", "", known) or not word or not known:
        return None
    edits = _distance(word, known)
    length = min(len(word), len(known))
    if length < _SHORT:
        slip = sorted(word) == sorted(known) or _undouble(word) == _undouble(known) or word == f"{known}s"
        missing = len(known) == len(word) + 1
        return edits if edits == 1 and length > 2 and (slip or missing) else None
    return edits if edits <= (2 if length >= _LONG else 1) else None


def _undouble(word: str) -> str:
    return re.sub(r"(.)\1", r"\1", word)


def _distance(a: str, b: str) -> int:
    """Return letters to put in, leave out, replace, or swap with their neighbour, to get from one word to the other."""
    rows = [list(range(len(b) + 1))]
    for i, letter in enumerate(a, start=1):
        row = [i]
        for j, other in enumerate(b, start=1):
            row.append(min(row[-1] + 1, rows[-1][j] + 1, rows[-1][j - 1] + (letter != other)))
            if i > 1 and j > 1 and a[i - 2] == other and letter == b[j - 2]:
                row[-1] = min(row[-1], rows[-2][j - 2] + 1)
        rows.append(row)
    return rows[-1][-1]
