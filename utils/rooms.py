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
    room = Path(init_file).parent
    for path in sorted(room.rglob(f"*{suffix}")):
        inner = ".".join(path.relative_to(room).with_suffix("").parts)
        importlib.import_module(f"{package}.{inner}")
