"""Losses: one a file, function first, registered with BasicSR's LOSS_REGISTRY.

The public names are those of __init__.pyi; each is imported when it is first asked for.
"""

from prismsr.utils.rooms import offer_names

__getattr__, __dir__, __all__ = offer_names(__name__, __file__)
