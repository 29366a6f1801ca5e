"""Check the arguments an option file gives to a class or function against its signature, without calling it."""

import collections.abc
import inspect
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from prismsr.utils.names import did_you_mean, nearest
from prismsr.utils.options.problems import Problem, join, show

_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
_LISTS = (collections.abc.Iterable, collections.abc.Collection, collections.abc.Sequence, list, tuple, set, frozenset)
_MAPPINGS = (collections.abc.Mapping, collections.abc.MutableMapping, dict)


def check_arguments(
    target: Callable[..., Any],
    given: Mapping[str, Any],
    prefix: str,
    *,
    supplied: Collection[str] = (),
    known: Mapping[str, Any] | None = None,
) -> list[Problem]:
    """Compare arguments with a signature.

    Unknown names, missing ones, and values that plainly do not fit: against the annotation, or, where there is none,
    against the kind of the default value. What neither tells is left to the code itself.

    Args:
        target: registered class or function.
        given: arguments from the option file.
        prefix: key path of the mapping they stand in.
        supplied: parameters that the caller in the code passes, such as an optimiser's `params`.
        known: type hints by parameter, for those that have no annotation.
    """
    name = getattr(target, "__name__", str(target))
    parameters = {key: item for key, item in inspect.signature(target).parameters.items() if key not in supplied}
    named = {key: item for key, item in parameters.items() if item.kind in _NAMED}
    open_ended = any(item.kind is item.VAR_KEYWORD for item in parameters.values()) and not _only_swallows(target)
    problems = []
    for key in given:
        if key not in named and not (open_ended and nearest(key, named) is None):
            problems.append(Problem(join(prefix, key), f"unknown argument of {name}{did_you_mean(key, named)}"))
    for key, item in named.items():
        if item.default is item.empty and key not in given:
            problems.append(Problem(join(prefix, key), f"is required by {name}"))
    hints = _hints(target)
    for key, value in given.items():
        if key in named:
            hint = hints.get(key, (known or {}).get(key, _hint_from_default(named[key].default)))
            if not matches(value, hint):
                problems.append(Problem(join(prefix, key), f"must be {describe(hint)}; got {show(value)}"))
    return problems


def default_of(target: Callable[..., Any], name: str) -> Any:
    """Default value of a parameter; None where there is no such parameter or no default."""
    parameter = inspect.signature(target).parameters.get(name)
    return None if parameter is None or parameter.default is parameter.empty else parameter.default


def takes(target: Callable[..., Any], name: str) -> bool:
    """Whether the signature names this parameter."""
    return name in inspect.signature(target).parameters


def _only_swallows(target: Callable[..., Any]) -> bool:
    # `**kwargs` of BasicSR's and of our own classes and functions takes what the caller passes to all of them and
    # drops it, so that a misspelt argument would pass unseen; elsewhere it may lead on to further arguments.
    return str(getattr(target, "__module__", "")).split(".")[0] in ("basicsr", "prismsr")


def _hints(target: Callable[..., Any]) -> dict[str, Any]:
    function = target.__init__ if inspect.isclass(target) else target
    try:
        return get_type_hints(function)
    except (NameError, TypeError, AttributeError):  # names that only a type checker imports
        return {}


def _hint_from_default(default: Any) -> Any:
    # An int default says no more than "a number": BasicSR writes `res_scale=1` and `style_weight=0`.
    if isinstance(default, bool):
        return bool
    if isinstance(default, int | float):
        return float
    if isinstance(default, str):
        return str | None
    if isinstance(default, tuple | list):
        return list[float] if default and all(matches(item, float) for item in default) else list
    return dict if isinstance(default, dict) else Any


def matches(value: Any, hint: Any) -> bool:
    """Whether a value from YAML can be meant by a type hint; True where the hint says nothing about YAML values.

    A bool is no number, an int is a float, a list stands for any sequence, text for a path.
    """
    origin, arguments = get_origin(hint) or hint, get_args(hint)
    if origin is Annotated:
        return matches(value, arguments[0])
    if origin in (Union, UnionType):
        known = [item for item in arguments if _tells(item)]
        return set(known) <= {NoneType} or any(matches(value, item) for item in known)
    test = _TESTS.get(origin)
    return test is None or test(value, arguments)


def _tells(hint: Any) -> bool:
    # A class such as Tensor is nothing that YAML can write: beside `float` it does not widen what is allowed.
    origin = get_origin(hint) or hint
    return origin in (Annotated, Union, UnionType) or origin in _TESTS


def _is_number(value: Any, kinds: type | tuple[type, ...]) -> bool:
    return isinstance(value, kinds) and not isinstance(value, bool)


def _is_one_of(value: Any, allowed: tuple[Any, ...]) -> bool:
    return any(value == item and isinstance(value, bool) == isinstance(item, bool) for item in allowed)


def _is_mapping(value: Any, arguments: tuple[Any, ...]) -> bool:
    return isinstance(value, dict) and (not arguments or all(matches(item, arguments[1]) for item in value.values()))


def _is_list(value: Any, arguments: tuple[Any, ...]) -> bool:
    return isinstance(value, list) and (not arguments or all(matches(item, arguments[0]) for item in value))


def _is_tuple(value: Any, arguments: tuple[Any, ...]) -> bool:
    if not arguments or arguments[-1] is Ellipsis or not isinstance(value, list):
        return _is_list(value, arguments)
    return len(value) == len(arguments) and all(map(matches, value, arguments))


_TESTS: dict[Any, Callable[[Any, tuple[Any, ...]], bool]] = {
    bool: lambda value, _: isinstance(value, bool),
    int: lambda value, _: _is_number(value, int),
    float: lambda value, _: _is_number(value, (int, float)),
    str: lambda value, _: isinstance(value, str),
    Path: lambda value, _: isinstance(value, str),
    None: lambda value, _: value is None,
    NoneType: lambda value, _: value is None,
    Literal: _is_one_of,
    **dict.fromkeys(_MAPPINGS, _is_mapping),
    **dict.fromkeys(_LISTS, _is_list),
    tuple: _is_tuple,
}


_WORDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    Path: "a path",
    NoneType: "null",
}
_PLURALS = {bool: "true or false values", int: "whole numbers", float: "numbers", str: "texts"}


def describe(hint: Any) -> str:
    """A type hint in the words of an option file."""
    origin = get_origin(hint) or hint
    arguments = get_args(hint)
    if origin is Annotated:
        return describe(arguments[0])
    if origin in (Union, UnionType):
        words = [describe(item) for item in arguments if _tells(item) and item is not NoneType]
        return " or ".join([*dict.fromkeys(words), *(["null"] if NoneType in arguments else [])])
    if origin is Literal:
        return f"one of {', '.join(map(repr, arguments))}" if len(arguments) > 1 else repr(arguments[0])
    if origin in _MAPPINGS:
        return f"a mapping to {_plural(arguments[1])}" if arguments else "a mapping"
    if origin in _LISTS:
        return _describe_list(origin, arguments)
    return _WORDS.get(origin, getattr(origin, "__name__", str(origin)))


def _describe_list(origin: Any, arguments: tuple[Any, ...]) -> str:
    if not arguments:
        return "a list"
    if origin is tuple and arguments[-1] is not Ellipsis:
        return f"a list of {len(arguments)} {_plural(arguments[0])}"
    return f"a list of {_plural(arguments[0])}"


def _plural(hint: Any) -> str:
    words = describe(hint)
    plurals = {describe(kind): plural for kind, plural in _PLURALS.items()}
    return plurals.get(words, f"entries that are each {words}")
