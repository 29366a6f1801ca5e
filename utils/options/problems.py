"""What is wrong with an option file: the record of one problem, near names, and their wording."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from prismsr.utils.names import did_you_mean
from prismsr.utils.options.schema import Options

from pydantic import ValidationError

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
    """One line each, notes first, so that the errors stand last, where they are seen."""
    return "\n".join(map(str, sorted(problems, key=lambda problem: problem.severity == "error")))


def show(value: Any) -> str:
    """A value as messages show it, with its kind where that is the point."""
    if value is None:
        return "null (~)"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        hint = " (no value is written ~)" if value.lower() == "none" else ""
        return f"the text {value[:60]!r}{hint}"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


_KINDS = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "string_type": "text",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
}
_BOUNDS = {
    "greater_than": ("greater than", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("less than", "lt"),
    "less_than_equal": ("at most", "le"),
}


def validate_section(schema: type[Options], data: Any, prefix: str, *, is_train: bool) -> list[Problem]:
    """Check one mapping of an option file against its schema.

    Args:
        schema: the declared keys.
        data: what the file has there.
        prefix: key path of the mapping, e.g. `datasets.train`; empty for the top level.
        is_train: whether keys that only training needs are required.
    """
    problems = []
    try:
        schema.model_validate(data)
    except ValidationError as error:
        problems = [_problem(schema, dict(item), prefix) for item in error.errors(include_url=False)]
    if is_train and isinstance(data, dict):
        absent = [key for key in schema.REQUIRED_TO_TRAIN if key not in data]
        problems += [Problem(join(prefix, key), f"is required for training{_about(schema, key)}") for key in absent]
    return problems


def join(*keys: object) -> str:
    """Join keys to a key path, leaving out empty ones."""
    return ".".join(str(key) for key in keys if key != "")


def _problem(schema: type[Options], error: dict[str, Any], prefix: str) -> Problem:
    loc: Sequence[Any] = error["loc"]
    key = join(prefix, *loc)
    kind, got = error["type"], error["input"]
    owner, about = _owner(schema, loc), ""
    if loc:
        about = _about(owner, str(loc[-1]))
    if kind == "extra_forbidden":
        return Problem(key, f"unknown key{did_you_mean(str(loc[-1]), owner.model_fields)}")
    if kind == "missing":
        return Problem(key, f"is required{about}")
    return Problem(key, f"{_expectation(kind, error)}; got {show(got)}{about}")


def _owner(schema: type[Options], loc: Sequence[Any]) -> type[Options]:
    """The schema class that holds the last key of a location, following nested mappings."""
    for key in loc[:-1]:
        field = schema.model_fields.get(str(key))
        candidates = [] if field is None else [field.annotation, *getattr(field.annotation, "__args__", ())]
        nested = [item for item in candidates if isinstance(item, type) and issubclass(item, Options)]
        if nested:
            schema = nested[0]
    return schema


def _about(schema: type[Options], key: str) -> str:
    field = schema.model_fields.get(key)
    return f" ({field.description})" if field is not None and field.description else ""


def _expectation(kind: str, error: dict[str, Any]) -> str:
    context = error.get("ctx", {})
    if kind in _KINDS:
        return f"must be {_KINDS[kind]}"
    if kind in _BOUNDS:
        words, bound = _BOUNDS[kind]
        return f"must be {words} {context[bound]:g}"
    if kind == "literal_error":
        return f"must be one of {context['expected']}"
    if kind == "value_error":
        return str(context["error"])
    return str(error["msg"])
