"""Training steps, registered with BasicSR's MODEL_REGISTRY."""

from prismsr.utils.rooms import import_room

import_room(__name__, __file__, "_model.py")
