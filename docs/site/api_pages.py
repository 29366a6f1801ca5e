"""Write the reference of Python names from docstrings: one Markdown page for each public module."""

import inspect
import re
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from option_pages import escape

MODULES = ("", "functional", "options", "losses", "metrics", "archs", "data", "models")
HEADING = re.compile(r"^(Args|Returns|Yields|Raises|Example|Attributes):$", re.MULTILINE)


def write_api_pages(package: ModuleType) -> dict[str, str]:
    """Return Markdown by file name, for the modules of `package` that list public names."""
    modules = {name: getattr(package, name) if name else package for name in MODULES}
    return {f"{name or package.__name__}.md": write_module(module) for name, module in modules.items()}


def write_module(module: ModuleType) -> str:
    """Return a module's page: its docstring, then each public function and class in alphabetical order."""
    lines = [f"# `{module.__name__}`", "", *write_docstring(inspect.getdoc(module) or ""), ""]
    for name in sorted(module.__all__, key=str.lower):
        value = getattr(module, name)
        if inspect.isroutine(value) or inspect.isclass(value):
            lines += [f"## {name}", "", *write_signature(name, value), ""]
            lines += [*write_docstring(inspect.getdoc(value) or ""), ""]
    return "\n".join(lines)


def write_signature(name: str, value: Any) -> list[str]:
    """Return the lines of a code block; a parameter a line where one line is too narrow."""
    parameters = [re.sub(r"\b(?:[a-z_]\w*\.)+(?=[A-Z])", "", str(one)) for one in _parameters(value)]
    line = f"{name}({', '.join(parameters)})"
    short = [line] if len(line) <= 88 else [f"{name}(", *(f"    {one}," for one in parameters), ")"]
    return ["```python", *short, "```"]


def _parameters(value: Any) -> Iterator[Any]:
    kinds = inspect.Parameter
    keywords = False
    for one in inspect.signature(value).parameters.values():
        if one.kind is kinds.KEYWORD_ONLY and not keywords:
            keywords = True
            yield "*"
        keywords |= one.kind is kinds.VAR_POSITIONAL
        yield one


def write_docstring(text: str) -> list[str]:
    """Return the Markdown lines of a docstring with sections such as `Args:`."""
    opening, *rest = HEADING.split(text)
    lines = _paragraphs(opening)
    for heading, content in zip(rest[::2], rest[1::2], strict=True):
        body = inspect.cleandoc("\n" + content)
        lines += ["", f"**{heading}**", ""]
        if heading == "Example":
            lines += ["```pycon", body, "```"]
        elif heading in ("Args", "Raises", "Attributes"):
            lines += _items(body)
        else:
            lines += _paragraphs(body)
    return lines


def _items(text: str) -> list[str]:
    """Return a list of "name: what it is" as a Markdown list."""
    found = re.findall(r"^(\S[^:\n]*): ((?:.+)(?:\n .*)*)", text, re.MULTILINE)
    return [f"- `{name}`: {escape(what)}" for name, what in found] or _paragraphs(text)


def _paragraphs(text: str) -> list[str]:
    """Return paragraphs as Markdown; what is indented, or a list, stays as it is written."""
    lines: list[str] = []
    for block in re.split(r"\n\s*\n", text.strip("\n")):
        written = block.startswith(("    ", "- ", "| "))
        lines += ["", *(block.splitlines() if written else [escape(block)])]
    return lines[1:]
