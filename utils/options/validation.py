"""Check a mapping of an option file against its schema, and say what is wrong in the words of an option file."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from prismsr.utils.names import did_you_mean
from prismsr.utils.options.problems import Problem, join, show
from prismsr.utils.options.schema import Options

from pydantic import ValidationError
from pydantic.json_schema import GenerateJsonSchema

Node = Mapping[str, Any]
"""A JSON Schema, or a part of one."""


class JsonSchema(GenerateJsonSchema):
    """JSON Schemas without titles made of field names; a default that JSON cannot write is left out."""

    ignored_warning_kinds = {"non-serializable-default", "skipped-choice"}  # noqa: RUF012 (pydantic's own form)

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Give no field a title."""
        return False


def validate_section(schema: type[Options], data: Any, prefix: str, *, is_train: bool) -> list[Problem]:
    """Check one mapping of an option file, whatever it has there, against its schema.

    `prefix` is its key path, as `datasets.train`; "" for the top level. With `is_train` also keys that only training
    needs are required.
    """
    problems: dict[str, Problem] = {}
    try:
        schema.model_validate(data)
    except ValidationError as error:
        for item in error.errors(include_url=False):
            problem = _problem(_json_schema(schema), data, dict(item), prefix)
            problems.setdefault(problem.key, problem)  # a union fails once for each of its members
    for key in _required_to_train(schema, data) if is_train and isinstance(data, dict) else ():
        if key not in data:
            text = f"is required for training{_about(_json_schema(schema)['properties'][key])}"
            problems[join(prefix, key)] = Problem(join(prefix, key), text)
    return list(problems.values())


def _required_to_train(schema: type[Options], data: Mapping[str, Any]) -> list[str]:
    switched = [keys for switch, keys in schema.REQUIRED_UNLESS_FALSE.items() if data.get(switch) is not False]
    return [*schema.REQUIRED_TO_TRAIN, *(key for keys in switched for key in keys)]


@lru_cache(maxsize=256)
def _json_schema(schema: type[Options]) -> Node:
    return schema.model_json_schema(schema_generator=JsonSchema)


def _problem(whole: Node, data: Any, error: Mapping[str, Any], prefix: str) -> Problem:
    node = whole
    path: list[Any] = []
    for key in error["loc"]:  # beside keys it names members of unions: what lies behind one is told of the union
        inner = _inner(whole, node, key)
        if inner is None:
            break
        node, path = inner, [*path, key]
    rest, kind, about = error["loc"][len(path) :], error["type"], _about(node)
    owner = _resolve(whole, node)
    if kind == "extra_forbidden" and len(rest) == 1 and "properties" in owner:
        what = f"argument of {owner['title']}" if owner["title"] else "key"
        return Problem(join(prefix, *path, *rest), f"unknown {what}{did_you_mean(str(rest[0]), owner['properties'])}")
    if kind == "missing" and not rest:
        title = _resolve(whole, _at(whole, path[:-1]))["title"]
        return Problem(join(prefix, *path), f"is required{f' by {title}' if title else ''}{about}")
    context = error.get("ctx", {})
    if kind == "wrong_key":
        return Problem(join(prefix, *path, context["key"]), context["text"])
    value = data if rest else error["input"]
    for key in path if rest else ():
        value = value[key]
    wanted = str(context["error"]) if kind == "value_error" else f"must be {describe(node, whole)}"
    return Problem(join(prefix, *path), f"{wanted}; got {show(value)}{about}")


def _at(whole: Node, path: list[Any]) -> Node:
    node: Node | None = whole
    for key in path:
        node = _inner(whole, node or {}, key)
    return node or {}


def _inner(whole: Node, node: Node, key: str | int) -> Node | None:
    """Return the schema of what stands under a key or in a list; None where a union or a tuple hides it."""
    node = _resolve(whole, node)
    if isinstance(key, int):
        return node.get("items")
    further = node.get("additionalProperties")
    inner: Node | None = node.get("properties", {}).get(key, further if isinstance(further, dict) else None)
    return inner


def _resolve(whole: Node, node: Node) -> Node:
    """Return what a reference, or the one choice beside null, stands for."""
    choices = [choice for choice in node.get("anyOf", ()) if choice.get("type") != "null"]
    node = choices[0] if len(choices) == 1 else node
    return whole["$defs"][node["$ref"].rpartition("/")[2]] if "$ref" in node else node


def _about(node: Node) -> str:
    return f" ({node['description']})" if "description" in node else ""


_WORDS = {
    "boolean": "true or false",
    "integer": "a whole number",
    "number": "a number",
    "string": "text",
    "null": "null",
    "object": "a mapping",
    "array": "a list",
}
_PLURALS = {"boolean": "true or false values", "integer": "whole numbers", "number": "numbers", "string": "texts"}
_BOUNDS = {
    "exclusiveMinimum": "greater than",
    "minimum": "of at least",
    "exclusiveMaximum": "less than",
    "maximum": "of at most",
}


def describe(node: Node, whole: Node) -> str:
    """Say in the words of an option file what a JSON Schema allows; `whole` has its definitions."""
    if "anyOf" in node:
        return " or ".join(dict.fromkeys(describe(choice, whole) for choice in node["anyOf"]))
    if "const" in node or "enum" in node:
        values = ", ".join(map(_literal, node.get("enum", [node.get("const")])))
        return f"one of {values}" if "enum" in node else values
    node = _resolve(whole, node)
    words = _WORDS.get(node.get("type", ""), "another value")
    if node.get("prefixItems"):
        words = f"a list of {len(node['prefixItems'])} {_plural(node['prefixItems'][0], whole)}"
    elif node.get("items"):
        least, most = node.get("minItems"), node.get("maxItems")
        number = f"{least} " if least == most and least else f"at least {least} " if least else ""
        words = f"a list of {number}{_plural(node['items'], whole)}"
    elif isinstance(node.get("additionalProperties"), dict):
        words = f"a mapping to {_plural(node['additionalProperties'], whole)}"
    bounds = " and ".join(f"{text} {node[key]:g}" for key, text in _BOUNDS.items() if key in node)
    return f"{words} {bounds}".rstrip()


def _plural(node: Node, whole: Node) -> str:
    words = describe(node, whole)
    kind = node.get("type", "")
    plain = kind in _PLURALS and "enum" not in node and "const" not in node
    return words.replace(_WORDS[kind], _PLURALS[kind]) if plain else f"entries that are each {words}"


def _literal(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value)
