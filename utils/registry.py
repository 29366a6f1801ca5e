"""BasicSR's registry of losses; where BasicSR is not installed, one that keeps nothing.

So a function beside a registered loss can be imported with torch and numpy alone; see prismsr.functional.
"""

from typing import Any

from prismsr.utils.rooms import is_installed

if is_installed("basicsr"):
    from basicsr.utils.registry import LOSS_REGISTRY
else:

    class _NoRegistry:
        def register(self) -> Any:
            """Return a decorator that changes nothing."""
            return lambda part: part

    LOSS_REGISTRY = _NoRegistry()

__all__ = ["LOSS_REGISTRY"]
