"""Write the reference of option files from options/schema.json: a Markdown page for each kind of entry."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

Json = dict[str, Any]

ENTRIES = {
    "loss": ("Losses", "`train.losses`: each key begins with `l_`."),
    "arch": ("Networks", "`network_g` and every other `network_`."),
    "dataset": ("Datasets", "`datasets.train`, and names that begin with `val` or `test`."),
    "metric": ("Metrics", "`val.metrics`: any name. Those of pyiqa are listed by `tools/evaluate.py --list`."),
    "optimizer": ("Optimisers", "`train.optim_g` and every other `train.optim_`."),
    "scheduler": ("Learning rates", "`train.scheduler`."),
}
SECTIONS = ("path", "logger", "dist_params")
PARTS = {"file": "top level", "train": "`train`", "val": "`val`"}
HIDDEN = ("type", "_replace_")
MODELS = "Models"


def write_option_pages(schema: Json) -> dict[str, str]:
    """Return Markdown by file name, for a schema such as options/schema.json."""
    defs = schema["$defs"]
    pages = {f"{kind}.md": write_entries(kind, defs) for kind in ENTRIES}
    return {"model.md": write_models(defs), **pages}


def write_models(defs: Json) -> str:
    """Return the page of the keys by model, and of the sections that all models share."""
    lines = [f"# {MODELS} and sections", "", "`model_type` decides which keys a file has.", ""]
    for model in (name.removeprefix("file.") for name in defs if name.startswith("file.") and name != "file.any"):
        lines += [f"## {model}", ""]
        for part, where in PARTS.items():
            node = defs[f"{part}.{model}"]
            lines += [f"### {model}: {where}", "", *write_table(node, _needs(defs[f"needs.{part}.{model}"])), ""]
    lines += ["## Sections of every model", ""]
    for name in SECTIONS:
        lines += [f"### `{name}`", "", *write_table(defs[name], _needs(defs.get(f"needs.{name}", {}))), ""]
    return "\n".join(lines)


def write_entries(kind: str, defs: Json) -> str:
    """Return the page of a kind of entry ("loss"): what can stand at `type`, with the keys of each."""
    title, where = ENTRIES[kind]
    lines = [f"# {title}", "", where, ""]
    needed = dict(_by_type(defs[f"needs.{kind}"]))
    known = dict(_by_type(defs[kind]))
    for name in sorted({*known, *defs[kind]["properties"]["type"]["enum"]}, key=str.lower):
        node = known.get(name, {})
        about = node.get("description", "").rstrip(".")
        lines += [f"## {name}", "", f"{escape(about)}." if about else "Keys are not checked.", ""]
        lines += [*write_table(node, _needs(needed.get(name, {}))), ""]
    return "\n".join(lines)


def write_table(node: Json, needed: set[str]) -> list[str]:
    """Return the lines of a table: key, type, default ("required" for those of `needed`), what it does."""
    rows = list(_rows(node, ""))
    if not rows:
        return ["No keys."]
    head = ["| key | type | default | what it does |", "|---|---|---|---|"]
    return head + [_row(key, one, key in needed) for key, one in rows]


def _row(key: str, node: Json, needed: bool) -> str:
    default = "required" if needed else f"`{json.dumps(node['default'])}`" if "default" in node else ""
    what = re.sub(r"\s*\(default.*$", "", node.get("description", ""))
    return f"| `{key}` | {describe(node)} | {default} | {escape(what)} |"


def _rows(node: Json, prefix: str) -> Iterator[tuple[str, Json]]:
    """Yield each key with its schema; the keys of a mapping within have its name before them."""
    for key, one in node.get("properties", {}).items():
        if key in HIDDEN:
            continue
        yield prefix + key, one
        for inner in (one, *one.get("anyOf", [])):
            yield from _rows(inner, f"{prefix}{key}.")
    for pattern, one in node.get("patternProperties", {}).items():
        yield from ((prefix + name, one) for name in _names(pattern))


def _names(pattern: str) -> list[str]:
    """Write a pattern of keys as a reader would: "^(a|b)_" is a_... and b_...."""
    plain = pattern.strip("^$")
    choice = re.search(r"\(([\w|]+)\)", plain)
    names = [plain.replace(choice[0], one) for one in choice[1].split("|")] if choice else [plain]
    return [name + "..." for name in names]


def describe(node: Json) -> str:
    """Return the type of a value in words, in Markdown; a reference is a link to its page."""
    if "anyOf" in node:
        return " or ".join(dict.fromkeys(describe(one) for one in node["anyOf"]))
    if "$ref" in node:
        return _link(node["$ref"].rpartition("/")[2])
    if "enum" in node or "const" in node:
        return ", ".join(f"`{_plain(value)}`" for value in node.get("enum", [node.get("const")]))
    kind = node.get("type", "anything")
    if kind == "array":
        return f"list of {describe(node['items'])}" if "items" in node else "list"
    names = {"integer": "whole number", "object": "mapping", "string": "text", "boolean": "true or false"}
    return " or ".join(names.get(one, one) for one in ([kind] if isinstance(kind, str) else kind))


def _link(name: str) -> str:
    kind = name if name in ENTRIES else "model"
    return f"[{name.partition('.')[0]}]({kind}.md)"


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _by_type(node: Json) -> Iterator[tuple[str, Json]]:
    for branch in node.get("allOf", []):
        names = branch["if"].get("properties", {}).get("type", {}).get("enum", [])
        yield from ((name, branch["then"]) for name in names)


def _needs(node: Mapping[str, Any]) -> set[str]:
    """Return the keys that a node of `needs` requires, those within mappings with the mapping's name."""
    found = set(node.get("required", []))
    for key, inner in node.get("properties", {}).items():
        found |= {f"{key}.{name}" for name in inner.get("required", [])}
    return found


def escape(text: str) -> str:
    """Return plain text as Markdown that shows it, also in a table; what stands in backticks stays."""
    parts = re.split(r"(`[^`]*`)", " ".join(text.split()))
    return "".join(part if part.startswith("`") else _escape_plain(part) for part in parts)


def _escape_plain(text: str) -> str:
    return re.sub(r"([*_|\[\\])", r"\\\1", text).replace("<", "&lt;")
