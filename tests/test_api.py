"""No public name vanishes and no signature of one changes unnoticed.

After a change that is meant, `python tests/test_api.py` writes tests/api_surface.json anew; its difference is what
users of the package will meet.
"""

import inspect
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import prismsr
from prismsr.utils.rooms import ROOMS

import pytest

SURFACE = Path(__file__).with_name("api_surface.json")
MODULES = ("prismsr", *(f"prismsr.{name}" for name in (*ROOMS, "functional", "options")))
MARKS = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}


def _module(name: str) -> Any:
    return prismsr if name == "prismsr" else getattr(prismsr, name.removeprefix("prismsr."))


def _described(value: Any) -> str:
    """Parameters with their defaults, without annotations, which Python's versions print in different ways."""
    if not inspect.isclass(value) and not inspect.isroutine(value):
        return type(value).__name__
    parts, keywords = [], False
    for name, parameter in inspect.signature(value).parameters.items():
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY and not keywords:
            keywords = True
            parts.append("*")
        default = "" if parameter.default is inspect.Parameter.empty else f"={parameter.default!r}"
        parts.append(f"{MARKS.get(parameter.kind, '')}{name}{default}")
    return f"({', '.join(parts)})"


def surface() -> dict[str, str]:
    """Every public name with its signature."""
    found = {}
    for path, module in ((path, _module(path)) for path in MODULES):
        found.update({f"{path}.{name}": getattr(module, name) for name in module.__all__})
    return {name: _described(value) for name, value in sorted(found.items()) if not isinstance(value, ModuleType)}


def test_public_names_and_signatures_are_as_before():
    assert surface() == json.loads(SURFACE.read_text(encoding="utf8"))


@pytest.mark.parametrize("module", MODULES)
def test_public_names_are_listed_and_others_are_errors(module):
    assert set(_module(module).__all__) <= set(dir(_module(module)))
    assert not hasattr(_module(module), "no_such_name")


if __name__ == "__main__":
    SURFACE.write_text(json.dumps(surface(), indent=1) + "\n", encoding="utf8")
