"""Metrics: one a file, registered with BasicSR's METRIC_REGISTRY."""

from prismsr.utils.rooms import import_room

import_room(__name__, __file__, "_metric.py")
