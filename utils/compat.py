"""Repair what cannot be imported on a current stack, each repair with its reason.

Importing prismsr calls `repair_imports`, which has to run before the first import of basicsr or torchvision. What a run
needs otherwise in BasicSR itself is in prismsr.models.training.basicsr_patches.
"""

import importlib
import importlib.util
import sys
import types
from pathlib import Path


def repair_imports() -> None:
    """Make `import basicsr` and `import torchvision` work; safe to call more than once."""
    _declare_missing_torchvision_operators()
    _restore_functional_tensor()
    _restore_distutils()


def _declare_missing_torchvision_operators() -> None:
    # torchvision 0.28's compiled operators do not load beside a CPU-only torch; `import torchvision` then fails while
    # attaching fake kernels to torchvision::nms and torchvision::qnms. Nothing here calls them, so that declaring the
    # two schemas is enough. Where the real ones load, nothing is touched.
    import torch

    try:
        importlib.import_module("torchvision")
        return
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
    for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        del sys.modules[name]
    library = torch.library.Library("torchvision", "FRAGMENT")
    library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _KEPT_ALIVE.append(library)
    importlib.import_module("torchvision")


_KEPT_ALIVE: list[object] = []  # a torch Library withdraws its operators when it is collected


def _restore_functional_tensor() -> None:
    # basicsr 1.4.2 imports torchvision.transforms.functional_tensor, removed in torchvision 0.17 (BasicSR #533, #663).
    name = "torchvision.transforms.functional_tensor"
    if name in sys.modules or importlib.util.find_spec(name) is not None:
        return
    from torchvision.transforms.functional import rgb_to_grayscale

    module = types.ModuleType(name)
    module.rgb_to_grayscale = rgb_to_grayscale  # type: ignore[attr-defined]
    sys.modules[name] = module


def _restore_distutils() -> None:
    # basicsr.archs.arch_util imports distutils, which left the standard library in Python 3.12; setuptools carries it.
    if importlib.util.find_spec("distutils") is None:
        importlib.import_module("setuptools")


def import_stlpips() -> types.SimpleNamespace:
    """Return the parts of stlpips_pytorch that are used here: modules `stlpips` and `vgg`, and the folder `weights`.

    stlpips_pytorch 0.0.2 imports IPython and torchsummary, neither of which it declares or uses. Where they are not
    installed, empty stand-ins take their place during the import and are withdrawn after it.
    """
    stand_ins = []
    for name, attribute in (("IPython", "embed"), ("torchsummary", "summary")):
        if name not in sys.modules and importlib.util.find_spec(name) is None:
            module = types.ModuleType(name)
            setattr(module, attribute, None)
            sys.modules[name] = module
            stand_ins.append(name)
    try:
        stlpips = importlib.import_module("stlpips_pytorch.stlpips")
        vgg = importlib.import_module("stlpips_pytorch.models_lpf.vgg")
    finally:
        for name in stand_ins:
            del sys.modules[name]
    weights = Path(str(stlpips.__file__)).parent / "weights" / "vST0.0"
    return types.SimpleNamespace(stlpips=stlpips, vgg=vgg, weights=weights)
