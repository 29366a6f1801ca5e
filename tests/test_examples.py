"""The examples in docstrings are true; tests/metrics has those of metrics."""

import doctest
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("archs", "data", "losses", "models", "tools", "utils")
FILES = [path.relative_to(ROOT).with_suffix("") for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]
MODULES = [".".join(("prismsr", *path.parts)) for path in FILES if ">>>" in (ROOT / f"{path}.py").read_text("utf8")]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    result = doctest.testmod(importlib.import_module(name), raise_on_error=False)
    assert result.attempted and not result.failed
