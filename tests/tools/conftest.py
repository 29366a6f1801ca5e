"""What the tests of several tools share."""

import importlib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="module")
def load_tool(repository: Path) -> Iterator[Callable[[str], ModuleType]]:
    """Import a module of tools/ by its name, as a script there would."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(repository / "tools"))
        yield importlib.import_module
