"""What is wrong with an option file: the record of one problem, and its wording."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

Severity = Literal["error", "note"]


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong (an error) or worth knowing (a note)."""

    key: str
    """Key path, e.g. `train.losses.l_g_ssl.window`; empty for the whole file."""
    message: str
    severity: Severity = "error"
    missing: str = ""
    """Absolute path of the file or folder that is not there, for this kind of problem."""
    where: str = ""
    """File and line, as far as they are known."""

    def __str__(self) -> str:
        return ": ".join(part for part in (self.severity, self.where, self.key, self.message) if part)


def errors_among(problems: Iterable[Problem]) -> list[Problem]:
    """Return the problems that keep an experiment from running."""
    return [problem for problem in problems if problem.severity == "error"]


def report(problems: Iterable[Problem]) -> str:
    """Return one line each, notes first, so that the errors stand last, where they are seen."""
    return "\n".join(map(str, sorted(problems, key=lambda problem: problem.severity == "error")))


def show(value: Any) -> str:
    """Return a value as messages show it, with its kind where that is the point."""
    if value is None:
        return "null (~)"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        hint = " (no value is written ~)" if value.lower() == "none" else ""
        return f"the text {value[:60]!r}{hint}"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def join(*keys: object) -> str:
    """Join keys to a key path, leaving out empty ones."""
    return ".".join(str(key) for key in keys if key != "")
