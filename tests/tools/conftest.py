"""What the tests of several tools share."""

import importlib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="module")
def tool(repository: Path) -> Iterator[Callable[[str], ModuleType]]:
    """Import a module of tools/, as a script there would."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(repository / "tools"))
        yield importlib.import_module
