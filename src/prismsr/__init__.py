"""PRISM-SR: perceptual super-resolution as a plug-in for BasicSR.

Importing prismsr makes BasicSR importable beside today's torch and torchvision (prismsr.utils.compat). It registers
every arch, dataset, loss, metric and model of ours, so `basicsr.archs.build_network({"type": ...})` finds them by name.
BasicSR's own classes and functions stay as they are; `patch_basicsr()` replaces those that the launchers replace.
Installed packages with an entry point of the group `prismsr.plugins` are imported last.

A command of tools/ does this once its arguments are read (utils/command_line.py). A launcher of basicsr/ watches the
cores meanwhile (utils/threads.py).

Where BasicSR is not installed nothing is registered, and prismsr.functional can be used with torch and numpy alone.

The public names are those of __init__.pyi; each is imported when it is first asked for.
"""

from prismsr.utils.rooms import is_command, offer_names, register_all
from prismsr.utils.threads import watch_cores
from prismsr.version import __version__  # noqa: F401

__getattr__, __dir__, __all__ = offer_names(__name__, __file__)

if is_command("basicsr"):
    watch_cores()
if not is_command():
    register_all()
