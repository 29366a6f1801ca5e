"""The JSON Schema (draft 2020-12) of whole option files, for editors and other programs.

A file that inherits (`_base_`) or has no `name` is a part of an experiment: its keys and values are checked, but none
is required. In any other file, such as a merged one, the keys that the experiment needs are required as well.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from prismsr.utils.options.entries import FROM, SUPPLIED, find_registered, known_names, registered_names
from prismsr.utils.options.named import dataset_schema, model_schema
from prismsr.utils.options.schema import DistOptions, LoggerOptions, Options, PathOptions, TopOptions, TrainOptions
from prismsr.utils.options.signatures import arguments_of
from prismsr.utils.options.tensors import LOSS_GTS, chooses_gt
from prismsr.utils.options.validation import JsonSchema

Json = dict[str, Any]
_WIDTH = 240

_BASE: Json = {"type": ["string", "array"], "items": {"type": "string"}, "description": "option files it inherits from"}
_BESIDE: Mapping[str, Json] = {
    "loss": {"gt": {"enum": [*LOSS_GTS], "description": "the GT image that the loss compares with"}},
    "metric": {"better": {"enum": ["higher", "lower"], "description": "which values are better"}},
}
"""Keys of entries beside the arguments, which the training step and the validation read."""


def write_schema(path: Path) -> None:
    """Write the schema of option files that name what is registered now."""
    path.write_text(f"{_show(file_schema())}\n", encoding="utf8")


def file_schema() -> Json:
    """Return the schema of option files that name what is registered now."""
    models: dict[type[TrainOptions], list[str]] = {}
    for name in sorted(registered_names("model")):
        if (schema := model_schema({"model_type": name})) is not None:
            models.setdefault(schema, []).append(name)
    entries = {kind: _schemas(kind) for kind in ("arch", "dataset", "loss", "metric", "optimizer", "scheduler")}
    defs = {kind: _entry(kind, schemas) for kind, schemas in entries.items()}
    defs |= {"datasets": _datasets(), "path": _path()}
    defs |= {"logger": _section(LoggerOptions), "dist_params": _section(DistOptions)}
    parts: dict[str, tuple[Any, ...]] = {
        names[0]: (_section(model.TOP), _train(model), _section(model.VAL)) for model, names in models.items()
    }
    parts["any"] = tuple(_unite(nodes) for nodes in zip(*parts.values(), strict=True))
    for name, (top, train, val) in parts.items():
        defs |= {f"file.{name}": _file(top, name), f"train.{name}": train, f"val.{name}": val}
    needs = {f"needs.{name}": _needs(node, defs) for name, node in defs.items() if not name.endswith(".any")}
    needs["needs.datasets"]["properties"] = {"train": _needs_to_train(entries["dataset"])}
    for model, names in models.items():
        needs[f"needs.file.{names[0]}"]["allOf"] = [_needs_of_run(model)]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "PRISM-SR option file",
        "type": "object",
        "properties": {"model_type": {"enum": sorted(registered_names("model"))}},
        "allOf": [
            {"if": {"not": {"required": ["model_type"]}}, "then": {"$ref": "#/$defs/file.any"}},
            *(_if("model_type", names, {"$ref": f"#/$defs/file.{names[0]}"}) for names in models.values()),
            {
                "if": {"required": ["name"], "not": {"required": ["_base_"]}},
                "then": {
                    "required": ["model_type"],
                    "allOf": [
                        _if("model_type", names, {"$ref": f"#/$defs/needs.file.{names[0]}"})
                        for names in models.values()
                    ],
                },
            },
        ],
        "$defs": {name: _forget_needs(node) for name, node in defs.items()} | needs,
    }


def _show(node: Any, indent: str = "") -> str:
    """Return JSON text with what is short or a list of plain values on one line."""
    text = json.dumps(node)
    inside = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    if len(text) <= _WIDTH or not any(isinstance(item, dict | list) for item in inside):
        return text
    inner = f"{indent} "
    if isinstance(node, dict):
        items = [f"{inner}{json.dumps(key)}: {_show(item, inner)}" for key, item in node.items()]
        return "{\n" + ",\n".join(items) + f"\n{indent}}}"
    return "[\n" + ",\n".join(inner + _show(item, inner) for item in node) + f"\n{indent}]"


# ------------------------------------------------------------------------------------------------ parts of a file


def _schemas(kind: str) -> dict[str, type[Options] | None]:
    names = sorted(known_names(kind))
    if kind == "dataset":
        return {name: dataset_schema({"type": name}) for name in names}
    return {name: arguments_of(find_registered(kind, name), SUPPLIED.get(kind, ())) for name in names}


def _section(schema: type[Options]) -> Json:
    """Return the schema of a mapping with declared keys, which refers to entries alone."""
    node = schema.model_json_schema(schema_generator=JsonSchema)
    linked: Json = _link(node, node.pop("$defs", {}))
    return linked


def _link(node: Any, defs: Json) -> Any:
    """Put in what references stand for, and references to all entries of a kind where a mark asks for one."""
    if isinstance(node, list):
        return [_link(item, defs) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        node = {**defs[node["$ref"].rpartition("/")[2]], **node}
    kept = {key: _link(value, defs) for key, value in node.items() if key not in ("$ref", "x-entry") and value != ""}
    return kept | _entries(node["x-entry"]) if "x-entry" in node else kept


def _entries(kind: str) -> Json:
    if kind == "losses":
        return {"patternProperties": {"^l_": _or_null("loss")}, "additionalProperties": False}
    if kind == "loss":  # one that BasicSR's models read, which know no key `gt`
        return {"$ref": "#/$defs/loss", "not": {"required": ["gt"]}}
    return {"additionalProperties": _or_null("metric")} if kind == "metrics" else {"$ref": f"#/$defs/{kind}"}


def _or_null(name: str, **more: Any) -> Json:
    return {"anyOf": [{"$ref": f"#/$defs/{name}", **more}, {"type": "null"}]}


def _entry(kind: str, schemas: Mapping[str, type[Options] | None]) -> Json:
    """Return the schema of {type: X, **arguments}: the arguments are those of X."""
    names: dict[type[Options], list[str]] = {}
    for name, schema in schemas.items():
        if schema is not None:
            names.setdefault(schema, []).append(name)
    choices = []
    for schema, group in names.items():
        node = _section(schema)
        plain = kind == "loss" and not chooses_gt(find_registered(kind, group[0]))
        node["properties"] = {"type": {}, **node["properties"], **({} if plain else _BESIDE.get(kind, {}))}
        choices.append(_if("type", group, node))
    known = {"enum": list(schemas), "description": f"registered {kind}"}
    if kind == "arch":  # a file of weights tells type and arguments
        choices.append({"if": {"not": {"required": [FROM]}}, "then": {"required": ["type"]}})
        file = {"type": "string", "description": "file of weights that tells type and arguments"}
        return {"type": "object", "properties": {"type": known, FROM: file}, "allOf": choices}
    return {"type": "object", "properties": {"type": known}, "required": ["type"], "allOf": choices}


def _if(key: str, values: list[str], then: Json) -> Json:
    return {"if": {"properties": {key: {"enum": values}}, "required": [key]}, "then": then}


def _datasets() -> Json:
    names = {"^(val|test)(_.*)?$": _or_null("dataset"), "^train$": _or_null("dataset")}
    return {"type": "object", "patternProperties": names, "additionalProperties": False}


def _path() -> Json:
    text: Json = {"type": ["string", "null"]}
    of_networks = {"^(pretrain_network|param_key)_": text, "^strict_load_": {"type": "boolean"}}
    return {**_section(PathOptions), "patternProperties": of_networks}


def _train(schema: type[TrainOptions]) -> Json:
    known = {"type": {"enum": sorted(schema.OPTIMIZERS)}}
    return {**_section(schema), "patternProperties": {"^optim_": _or_null("optimizer", properties=known)}}


def _file(top: Json, model: str) -> Json:
    links = {
        "datasets": {"$ref": "#/$defs/datasets"},
        "train": _or_null(f"train.{model}"),
        "val": _or_null(f"val.{model}"),
        **{key: _or_null(key) for key in ("path", "logger", "dist_params")},
    }
    described = {key: {"description": TopOptions.model_fields[key].description, **node} for key, node in links.items()}
    return {
        **top,
        "properties": {"_base_": _BASE, **top["properties"], **described},
        "patternProperties": {"^network_": _or_null("arch")},
    }


def _unite(nodes: Iterable[Json]) -> Json:
    """Return a schema of parts of files that may have the keys of all these, and take inherited ones back by null."""
    properties: dict[str, list[Json]] = {}
    patterns: Json = {}
    for node in nodes:
        for key, item in node["properties"].items():
            properties.setdefault(key, [])
            properties[key] += [item] if item not in properties[key] else []
        patterns |= node.get("patternProperties", {})
    either = {key: {"anyOf": [*items, {"type": "null"}]} for key, items in properties.items()}
    return {"type": "object", "properties": either, "patternProperties": patterns, "additionalProperties": False}


# -------------------------------------------------------------------------------------------------- required keys


def _needs_to_train(schemas: Mapping[str, type[Options] | None]) -> Json:
    """Return which keys the training dataset requires beside those of any dataset."""
    known = {name: list(schema.REQUIRED_TO_TRAIN) for name, schema in schemas.items() if schema}
    choices = [_if("type", [name], {"required": keys}) for name, keys in known.items()]
    return {"$ref": "#/$defs/needs.dataset", "allOf": choices}


def _needs_of_run(schema: type[TrainOptions]) -> Json:
    """Return which sections a file for training requires, and one for testing."""
    training = [*schema.NETWORKS, "logger", *schema.TOP.REQUIRED_TO_TRAIN]
    switched = [
        {"if": {"not": {"properties": {key: {"const": False}}, "required": [key]}}, "then": {"required": list(keys)}}
        for key, keys in schema.TOP.REQUIRED_UNLESS_FALSE.items()
    ]
    return {
        "if": {"properties": {"train": {"type": "object"}}, "required": ["train"]},
        "then": {
            "required": training,
            "properties": {"datasets": {"required": ["train"]}, "val": {"required": [*schema.VAL.REQUIRED_TO_TRAIN]}},
            **({"allOf": switched} if switched else {}),
        },
        "else": {"required": ["network_g", "val"]},
    }


def _needs(node: Json, defs: Json) -> Json:
    """Return what a schema requires, and nothing else of it; empty where it requires nothing."""
    if "$ref" in node:
        name = node["$ref"].rpartition("/")[2]
        return {"$ref": f"#/$defs/needs.{name}"} if _needs(defs[name], defs) else {}
    either = [item for item in node.get("anyOf", ()) if item != {"type": "null"}]
    kept = _needs(either[0], defs) if len(either) == 1 else {}
    kept |= {"required": node["required"]} if node.get("required") else {}
    for group in ("properties", "patternProperties"):
        inner = {name: needed for name, item in node.get(group, {}).items() if (needed := _needs(item, defs))}
        kept |= {group: inner} if inner else {}
    further = node.get("additionalProperties")
    if isinstance(further, dict) and (needed := _needs(further, defs)):
        kept["additionalProperties"] = needed
    choices = [{**item, "then": needed} for item in node.get("allOf", ()) if (needed := _needs(item["then"], defs))]
    return kept | ({"allOf": choices} if choices else {})


def _forget_needs(node: Any) -> Any:
    """Return a schema that requires nothing; `_replace_`, which takes the place of an inherited mapping, is allowed."""
    if isinstance(node, list):
        return [_forget_needs(item) for item in node]
    if not isinstance(node, dict):
        return node
    kept = {key: item if key in ("if", "not", "default", "enum") else _forget_needs(item) for key, item in node.items()}
    if isinstance(kept.get("required"), list):
        del kept["required"]
    if kept.get("type") == "object" and kept.get("additionalProperties", True) is not True:
        kept["properties"] = {**kept.get("properties", {}), "_replace_": {"const": True}}
    return kept
