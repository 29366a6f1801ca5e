"""PRISM-SR: perceptual super-resolution as a plug-in for BasicSR.

Importing prismsr repairs BasicSR for today's torch and torchvision (prismsr.utils.compat) and registers every arch,
dataset, loss, metric and model of ours, so `basicsr.archs.build_network({"type": ...})` finds them by name.
"""

from prismsr.utils import compat

compat.repair_imports()  # has to run before the first import of basicsr or torchvision anywhere below

from prismsr import archs, data, losses, metrics, models  # noqa: E402  (order matters, see above)
from prismsr.models.training import basicsr_patches  # noqa: E402

basicsr_patches.repair_basicsr()

from prismsr.version import __version__  # noqa: E402

__all__ = ["__version__", "archs", "data", "losses", "metrics", "models"]
