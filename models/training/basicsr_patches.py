"""Replace, by name, what a run needs otherwise in BasicSR 1.4.2, each part with its reason.

The launchers call `patch_basicsr`; importing prismsr does not. Besides, `launch.Run` takes over names of BasicSR's
training and test programs for one run. Nothing else in prismsr replaces a part of BasicSR.
"""

import os
import subprocess
import uuid
from pathlib import Path
from typing import Any

from prismsr.utils.errors import OptionError
from prismsr.utils.files import atomic_write, set_aside
from prismsr.utils.names import did_you_mean
from prismsr.utils.options.entries import find_registered

MODEL_FILES = ("save_network", "save_training_state", "resume_training", "load_network", "validation")
"""Methods of BaseModel that the functions of these names in models/training/model_files.py replace."""
WANDB_ID = "wandb_id.txt"
"""File of an experiment that holds the id of its run at wandb."""


def patch_basicsr() -> None:
    """Replace the parts of BasicSR's classes that a run by the launchers replaces; safe to call more than once.

    A script that builds, saves or validates models itself calls it before, as `prismsr.patch_basicsr()`.
    """
    from prismsr.models.training import model_files
    from prismsr.models.training.validation import validate

    from basicsr.models import realesrgan_model, realesrnet_model
    from basicsr.models.base_model import BaseModel
    from basicsr.models.sr_model import SRModel
    from basicsr.utils import DiffJPEG, USMSharp, dist_util, misc, options
    from basicsr.utils.registry import Registry

    # A missing name prints "not found, use name: X_basicsr!", also for names that are fine, and sends people to edit
    # their option file (BasicSR #419 and many more). spandrel's networks are not in the registry.
    Registry.get = _registry_get
    # nccl and a CUDA device are taken for granted; two processes on a CPU then divide by device_count() == 0.
    dist_util.init_dist = options.init_dist = init_dist
    # The name of a folder set aside has the time in seconds: a second one in the same second ends in a traceback.
    misc.mkdir_and_rename = mkdir_and_rename
    # DistributedDataParallel gets device_ids=[current CUDA device], which a CPU build refuses.
    BaseModel.model_to_device = _model_to_device
    # RealESRGANModel and RealESRNetModel move these to CUDA, also where there is none.
    for module in (realesrgan_model, realesrnet_model):
        module.DiffJPEG, module.USMSharp = _keep_where_no_cuda_is(DiffJPEG), _keep_where_no_cuda_is(USMSharp)
    # Files are written in place, failures passed over, weights read in one layout; see models/training/model_files.py.
    for name in MODEL_FILES:
        setattr(BaseModel, name, getattr(model_files, name))
    # Rank 0 validates alone; see prismsr.models.training.validation. A subclass's own nondist_validation still applies.
    SRModel.nondist_validation = validate
    SRModel.dist_validation = lambda self, *arguments: self.nondist_validation(*arguments)


def mkdir_and_rename(path: str) -> None:
    """Make a folder; what is there before is set aside under a name with the time."""
    if os.path.exists(path):
        print(f"Path already exists. Rename it to {set_aside(path)}", flush=True)
    os.makedirs(path, exist_ok=True)


def _keep_where_no_cuda_is(kind: Any) -> Any:
    import torch

    def cuda(self: Any, *arguments: Any) -> Any:
        return kind.cuda(self, *arguments) if torch.cuda.is_available() else self

    return type(kind.__name__, (kind,), {"cuda": cuda})


def _registry_get(self: Any, name: str, suffix: str = "basicsr") -> Any:
    for candidate in (name, f"{name}_{suffix}"):
        if candidate in self:
            return self._obj_map[candidate]
    lent = find_registered("arch", name) if self._name == "arch" else None  # a network of spandrel
    if lent is not None:
        return lent
    raise KeyError(f"no {self._name} is called {name!r}{did_you_mean(name, self.keys())}")


def init_dist(launcher: str, backend: str | None = None, port: int | None = None, **kwargs: Any) -> None:
    """Start torch.distributed: nccl with a CUDA device per process, gloo without CUDA.

    The launcher is "pytorch" (torchrun's environment variables) or "slurm" (SLURM's, whose rendezvous port is
    MASTER_PORT, else 29500, by default). Further arguments are those of torch.distributed.init_process_group.

    Raises:
        ValueError: another launcher, or variables that the launcher should have set are missing.
    """
    import torch
    from torch import distributed, multiprocessing

    if launcher not in ("pytorch", "slurm"):
        raise ValueError(f"launcher is {launcher!r}; allowed: 'none', 'pytorch', 'slurm'.")
    if multiprocessing.get_start_method(allow_none=True) is None:
        multiprocessing.set_start_method("spawn")  # as BasicSR: forking after CUDA or gloo threads started is unsafe
    if launcher == "slurm":
        _export_slurm_variables(port)
    missing = [name for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR") if name not in os.environ]
    if missing:
        raise ValueError(
            f"--launcher {launcher}: {', '.join(missing)} not set; start with torchrun --nproc_per_node=N."
        )
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    backend = backend or ("nccl" if torch.cuda.is_available() else "gloo")
    distributed.init_process_group(backend=backend, **kwargs)


def init_wandb_logger(opt: dict[str, Any]) -> None:
    """Start wandb, which follows TensorBoard's files (rank 0); OptionError where it is not installed.

    BasicSR's asks wandb.util.generate_id for an id, which wandb 0.31 no longer has, and forgets it: a resumed run began
    another. The id is that of logger.wandb.resume_id, else the one that the experiment's folder holds, else a new one.
    """
    if opt["rank"] != 0:
        return
    try:
        import wandb  # type: ignore[import-not-found,unused-ignore]
    except ImportError as error:
        raise OptionError("logger.wandb: the package wandb is not installed (pip install wandb)") from error
    options = opt["logger"]["wandb"]
    kept = Path(opt["path"]["experiments_root"], WANDB_ID)
    run_id = options.get("resume_id") or (kept.read_text(encoding="utf8").strip() if kept.is_file() else "")
    run_id = run_id or uuid.uuid4().hex[:8]
    atomic_write(kept, f"{run_id}\n".encode())
    wandb.init(
        id=run_id, resume="allow", name=opt["name"], config=opt, project=options["project"], sync_tensorboard=True
    )


def slurm_first_host() -> str:
    """Name of the first machine of this slurm job, where rank 0 runs and the processes meet."""
    command = ["scontrol", "show", "hostname", os.environ["SLURM_NODELIST"]]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[0]


def _export_slurm_variables(port: int | None) -> None:
    missing = [name for name in ("SLURM_PROCID", "SLURM_NTASKS", "SLURM_NODELIST") if name not in os.environ]
    if missing:
        raise ValueError(f"--launcher slurm: {', '.join(missing)} not set; start with srun.")
    os.environ["MASTER_ADDR"] = slurm_first_host()
    os.environ["MASTER_PORT"] = str(port or os.environ.get("MASTER_PORT", "29500"))
    os.environ["RANK"] = os.environ["SLURM_PROCID"]
    os.environ["WORLD_SIZE"] = os.environ["SLURM_NTASKS"]
    os.environ["LOCAL_RANK"] = os.environ.get("SLURM_LOCALID", "0")


def _model_to_device(self: Any, net: Any) -> Any:
    import torch
    from torch.nn.parallel import DataParallel, DistributedDataParallel

    net = net.to(self.device)
    if self.opt["dist"]:
        device_ids = [torch.cuda.current_device()] if self.device.type == "cuda" else None
        unused = self.opt.get("find_unused_parameters", False)
        return DistributedDataParallel(net, device_ids=device_ids, find_unused_parameters=unused)
    return DataParallel(net) if self.opt["num_gpu"] > 1 else net
