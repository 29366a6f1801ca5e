"""PRISM-SR: perceptual super-resolution as a plug-in for BasicSR.

Importing prismsr makes BasicSR importable beside today's torch and torchvision (prismsr.utils.compat). It registers
every arch, dataset, loss, metric and model of ours, so `basicsr.archs.build_network({"type": ...})` finds them by name.
BasicSR's own classes and functions stay as they are; `patch_basicsr()` replaces those that the launchers replace.
"""

from prismsr.utils import compat

compat.repair_imports()  # has to run before the first import of basicsr or torchvision anywhere below

from prismsr import archs, data, losses, metrics, models  # noqa: E402  (order matters, see above)
from prismsr.models.training.basicsr_patches import patch_basicsr  # noqa: E402
from prismsr.version import __version__  # noqa: E402

__all__ = ["__version__", "archs", "data", "losses", "metrics", "models", "patch_basicsr"]
