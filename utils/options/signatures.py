"""The arguments of a class or function as a schema, made from its signature; nothing is called for it."""

import collections.abc
import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from prismsr.utils.names import did_you_mean, nearest
from prismsr.utils.options.basicsr_tables import BY_NAME, BY_OWNER, CHECKS, REQUIRED
from prismsr.utils.options.problems import Problem, join
from prismsr.utils.options.schema import Arguments, Options
from prismsr.utils.options.validation import validate_section

from pydantic import BeforeValidator, ConfigDict, Field, GetCoreSchemaHandler, Strict, create_model, model_validator
from pydantic_core import CoreSchema, PydanticCustomError

_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
_LISTS = (collections.abc.Iterable, collections.abc.Collection, collections.abc.Sequence, set, frozenset, tuple, list)
_MAPPINGS = (collections.abc.Mapping, collections.abc.MutableMapping, dict)
_PLAIN: dict[Any, Any] = {
    **{kind: kind for kind in (bool, int, float, str, NoneType)},
    **dict.fromkeys(_LISTS, list),
    **dict.fromkeys(_MAPPINGS, dict),
    Path: Annotated[Path, Strict(False)],
}


class _Further(Arguments):
    """Arguments of a signature whose `**kwargs` lead on to others."""

    model_config = ConfigDict(extra="allow")


@dataclass(frozen=True)
class Section:
    """Marks a mapping, `Annotated[dict[str, Any], Section(X)]`, that holds the keys of X.

    X is a subclass of Options, or a class or function whose arguments are meant.
    """

    of: Any

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Let pydantic check the keys, too."""
        is_options = inspect.isclass(self.of) and issubclass(self.of, Options)
        schema = self.of if is_options else arguments_of(self.of, ())
        return handler.generate_schema(schema | None if NoneType in get_args(source) else schema)


def check_arguments(
    target: Callable[..., Any], given: Mapping[str, Any], prefix: str, *, supplied: tuple[str, ...] = ()
) -> list[Problem]:
    """Compare arguments from an option file, which stand at the key path `prefix`, with a signature.

    Unknown names, missing ones, and values that plainly do not fit: against the annotation, or, where there is none,
    against the kind of the default value. What neither tells is left to the code itself. `supplied` are parameters that
    the caller in the code passes, such as an optimiser's `params`.
    """
    schema = arguments_of(target, supplied)
    problems = validate_section(schema, dict(given), prefix, is_train=False)
    known = [field.alias or name for name, field in schema.model_fields.items()]
    misspelt = [key for key in given if issubclass(schema, _Further) and key not in known and nearest(key, known)]
    name = schema.__name__
    return problems + [
        Problem(join(prefix, key), f"unknown argument of {name}{did_you_mean(key, known)}") for key in misspelt
    ]


@cache
def arguments_of(target: Callable[..., Any], supplied: tuple[str, ...]) -> type[Options]:
    """Return the schema of a signature's arguments; see `check_arguments`."""
    name = getattr(target, "__name__", str(target))
    hints, about = _hints(target), _argument_texts(target)
    parameters = {key: item for key, item in inspect.signature(target).parameters.items() if key not in supplied}
    fields: dict[str, Any] = {}
    for key, item in parameters.items():
        if item.kind in _NAMED:
            hint = BY_OWNER.get(name, {}).get(key) or _plain(hints.get(key, _by_name(key, item.default)))
            default = ... if item.default is item.empty or key in REQUIRED.get(name, ()) else item.default
            # pydantic has attributes of its own, such as `copy`, and reads leading underscores in its own way
            field = f"argument_{key}" if hasattr(Options, key) or key[0] == "_" else key
            fields[field] = (hint, Field(default, alias=key, description=about.get(key)))
    # `**kwargs` of BasicSR's and of our own classes and functions takes what the caller passes to all of them and
    # drops it, so that a misspelt argument would pass unseen; elsewhere it may lead on to further arguments.
    foreign = str(getattr(target, "__module__", "")).split(".")[0] not in ("basicsr", "prismsr")
    leads_on = foreign and any(item.kind is item.VAR_KEYWORD for item in parameters.values())
    base = _Further if leads_on else Arguments
    checks: dict[str, Any] = {"check": model_validator(mode="after")(CHECKS[name])} if name in CHECKS else {}
    purpose = (inspect.getdoc(target) or "").partition("\n")[0]
    return create_model(name, __base__=base, __doc__=purpose, __validators__=checks, **fields)


def default_of(target: Callable[..., Any], name: str) -> Any:
    """Return the default value of a parameter; None where there is no such parameter or no default."""
    parameter = inspect.signature(target).parameters.get(name)
    return None if parameter is None or parameter.default is parameter.empty else parameter.default


def takes(target: Callable[..., Any], name: str) -> bool:
    """Tell whether the signature names this parameter."""
    return name in inspect.signature(target).parameters


def _hints(target: Callable[..., Any]) -> dict[str, Any]:
    function = target.__init__ if inspect.isclass(target) else target
    try:
        return get_type_hints(function, include_extras=True)
    except (NameError, TypeError, AttributeError):  # names that only a type checker imports
        return {}


def _argument_texts(target: Callable[..., Any]) -> dict[str, str]:
    """Return the first sentence on each argument from the section `Args:` of a docstring."""
    section = re.search(r"^Args:\n(.+?)(?:\n\S|\Z)", inspect.getdoc(target) or "", re.MULTILINE | re.DOTALL)
    entries = re.findall(r"^ {4}(\w+)(?: \(.*?\))?: (.+(?:\n {5,}.+)*)", section[1] if section else "", re.MULTILINE)
    return {name: re.split(r"\.(?: +(?=[A-Z])|$)| \(default", " ".join(text.split()))[0] for name, text in entries}


def _by_name(name: str, default: Any) -> Any:
    """Return the type hint of a parameter without annotation."""
    if name in BY_NAME:
        return BY_NAME[name]
    # An int default says no more than "a number": BasicSR writes `res_scale=1` and `style_weight=0`.
    if isinstance(default, int | float):
        return bool if isinstance(default, bool) else float
    if isinstance(default, tuple | list):
        numbers = all(isinstance(item, int | float) and not isinstance(item, bool) for item in default)
        return list[float] if default and numbers else list
    return str | None if isinstance(default, str) else dict if isinstance(default, dict) else Any


def _plain(hint: Any) -> Any:
    """Return a type hint as far as YAML can write it, Any where it tells nothing of YAML's values.

    A list stands for any sequence, text for a path. A class such as Tensor is nothing that YAML can write: beside
    `float` it does not widen what is allowed.
    """
    if get_origin(hint) is Annotated:
        return Annotated[(_plain(get_args(hint)[0]), *hint.__metadata__)]
    origin, inner = get_origin(hint) or hint, tuple(map(_plain, get_args(hint)))
    if origin is Literal:
        return hint if any(isinstance(item, bool) for item in get_args(hint)) else Annotated[hint, _NO_BOOL]
    if origin in (Union, UnionType):
        known = [item for item in inner if item is not Any]
        return Union[tuple(known)] if {*known} - {NoneType} else Any  # noqa: UP007
    if origin in _LISTS and inner:
        of_fixed_length = origin is tuple and get_args(hint)[-1] is not Ellipsis
        return Annotated[tuple[inner], Strict(False)] if of_fixed_length else list[inner[0]]  # type: ignore[valid-type]
    if origin in _MAPPINGS and inner:
        return dict[inner]  # type: ignore[misc,valid-type]
    return _PLAIN.get(origin, hint if inspect.isclass(origin) and issubclass(origin, Options) else Any)


def _refuse_bool(value: Any) -> Any:
    if isinstance(value, bool):
        raise PydanticCustomError("bool", "a bool is no number")
    return value


_NO_BOOL = BeforeValidator(_refuse_bool)
