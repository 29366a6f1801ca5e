"""Datasets, registered with BasicSR's DATASET_REGISTRY, and what prepares data; __init__.pyi lists the public ones."""

from prismsr.utils.rooms import offer_names

__getattr__, __dir__, __all__ = offer_names(__name__, __file__)
