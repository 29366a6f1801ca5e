"""Import every file of a room, so that its parts register themselves with BasicSR."""

import importlib
from pathlib import Path


def import_room(package: str, init_file: str, suffix: str) -> None:
    """Import each module of `package` whose file name ends in `suffix`, in alphabetical order.

    This is BasicSR's own habit (a file `x_arch.py` in archs/ is found without being listed anywhere).

    Args:
        package: dotted name of the room, e.g. "prismsr.archs".
        init_file: `__file__` of the room's `__init__.py`.
        suffix: end of the file names to import, e.g. "_arch.py".
    """
    for path in sorted(Path(init_file).parent.glob(f"*{suffix}")):
        importlib.import_module(f"{package}.{path.stem}")
