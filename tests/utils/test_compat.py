import subprocess
import sys
from types import SimpleNamespace

import prismsr
from prismsr.models.training import basicsr_patches
from prismsr.utils import compat

import pytest
import torch
from basicsr.archs import build_network
from basicsr.models.base_model import BaseModel
from basicsr.utils.registry import LOSS_REGISTRY


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


def test_names_with_basicsr_suffix_are_found_without_a_word(capsys):
    net = build_network({"type": "SRVGGNetCompact", "num_feat": 4, "num_conv": 1, "upscale": 2})
    assert net(torch.rand(1, 3, 5, 5)).shape == (1, 3, 10, 10)
    assert "not found" not in capsys.readouterr().out


def test_unknown_name_gives_the_nearest():
    with pytest.raises(KeyError, match=r"No loss is called 'AdversarialLos'\. Did you mean 'AdversarialLoss'\?"):
        LOSS_REGISTRY.get("AdversarialLos")


def test_closing_validation_has_the_last_iteration():
    calls = []
    model = BaseModel({"num_gpu": 0, "is_train": True, "dist": False, "train": {"total_iter": 12}})
    model.nondist_validation = lambda *args: calls.append(args)
    model.validation("loader", 14, None)
    model.validation("loader", 8, None, True)
    assert [call[1] for call in calls] == [12, 8]
    assert [call[3] for call in calls] == [False, True]


def test_launcher_without_its_variables_is_told(monkeypatch):
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "SLURM_PROCID"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ValueError, match=r"RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR not set; start with torchrun"):
        basicsr_patches.init_dist("pytorch")
    with pytest.raises(ValueError, match=r"SLURM_PROCID.*start with srun"):
        basicsr_patches.init_dist("slurm")
    with pytest.raises(ValueError, match="launcher is 'mpi'"):
        basicsr_patches.init_dist("mpi")


def test_stand_ins_for_stlpips_do_not_stay():
    parts = compat.import_stlpips()
    assert parts.weights.is_dir()
    assert isinstance(parts, SimpleNamespace)
    assert "torchsummary" not in sys.modules
