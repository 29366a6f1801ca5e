"""Datasets and the tools that prepare data, registered with BasicSR's DATASET_REGISTRY."""

from prismsr.utils.rooms import import_room

import_room(__name__, __file__, "_dataset.py")
