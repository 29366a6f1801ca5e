"""Losses: one a file, function first, registered with BasicSR's LOSS_REGISTRY."""

from prismsr.utils.rooms import import_room

import_room(__name__, __file__, "_loss.py")
