import subprocess
import sys
from types import SimpleNamespace

import prismsr
from prismsr.utils import compat

import torch


def _python(code: str, **kwargs) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, **kwargs)


def test_importing_prismsr_is_enough(tmp_path):
    code = (
        "import prismsr; from basicsr.archs import build_network; from basicsr.losses import build_loss;"
        "build_loss({'type': 'AdversarialLoss'}); prismsr.losses.adversarial_loss; print(prismsr.__version__)"
    )
    result = _python(code, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stdout.split()[-1] == prismsr.__version__


def test_import_repairs_only_what_is_broken():
    """Run again, the repairs change nothing: torchvision and functional_tensor are there."""
    import torchvision
    from torchvision.transforms import functional_tensor

    before = set(sys.modules)
    compat.repair_imports()
    assert sys.modules["torchvision"] is torchvision
    assert sys.modules["torchvision.transforms.functional_tensor"] is functional_tensor
    assert set(sys.modules) == before
    assert functional_tensor.rgb_to_grayscale(torch.rand(3, 4, 4)).shape == (1, 4, 4)


def test_stand_ins_for_stlpips_do_not_stay():
    parts = compat.import_stlpips()
    assert parts.weights.is_dir()
    assert isinstance(parts, SimpleNamespace)
    assert "torchsummary" not in sys.modules
