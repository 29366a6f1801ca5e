"""What stands in the place of BasicSR's BaseModel methods that save and load; `self` is a model.

BasicSR writes files in place, goes on after three failures, keeps neither random generators nor best metrics, and
reads one layout of weights.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prismsr.models.training.checkpoint_files import (
    OURS,
    CheckpointError,
    prune,
    rank_file,
    save_file,
    save_safetensors,
    save_state,
)
from prismsr.utils.weights.files import WeightsError, load_strictly, network_weights
from prismsr.utils.weights.renamings import rename_to_fit

import torch
from basicsr.utils import get_root_logger
from basicsr.utils.dist_util import get_dist_info, master_only
from torch import Tensor, distributed, nn


@master_only
def save_network(
    self: Any, net: nn.Module | list[nn.Module], net_label: str, current_iter: int | str, param_key: Any = "params"
) -> None:
    """Save one network, or several in one file, each under its `param_key`, atomically (rank 0).

    The file's name is `net_label`, e.g. "net_g", and the iteration; -1 means "latest".

    Raises:
        CheckpointError: the file cannot be written, or a network has weights that are not finite.
    """
    nets, keys = ([net], [param_key]) if isinstance(net, nn.Module) else (net, param_key)
    content = {key: _state(self, self.get_bare_model(one)) for one, key in zip(nets, keys, strict=True)}
    for key, state in content.items():
        _require_finite(state, f"{net_label} ({key})")
    notes = self.checkpoint_notes() if hasattr(self, "checkpoint_notes") else {}
    path = _save_model_file(self, net_label, current_iter, {**content, **notes})
    if self.opt.get("logger", {}).get("save_safetensors"):
        weights = list(content)[-1]  # the moving average where there is one
        metadata = {"weights": weights, "iter": str(current_iter), "experiment": str(self.opt.get("name"))}
        save_safetensors(path.with_suffix(".safetensors"), content[weights], metadata)


def _save_model_file(model: Any, label: str, current_iter: int | str, content: Any) -> Path:
    name = f"{label}_{'latest' if current_iter == -1 else current_iter}"
    path = Path(model.opt["path"]["models"], f"{name}.pth")
    model.__dict__.setdefault("saved_files", {})[path.name] = save_file(path, content)
    return path


def _state(model: Any, net: nn.Module) -> dict[str, Tensor]:
    state = model.network_state(net) if hasattr(model, "network_state") else net.state_dict()
    return {key: value.detach().cpu() for key, value in state.items()}


def _require_finite(state: Mapping[str, Tensor], what: str) -> None:
    for key, value in state.items():
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise CheckpointError(
                f"{what} was not saved: {key} holds values that are not finite. The checkpoints from before are good; "
                "go on from one of them, e.g. with a lower learning rate."
            )


def save_generator(model: Any, name: int | str) -> None:
    """Save net_g, with its moving average where there is one, as net_g_<name>; -1 means "latest".

    With LoRA that file holds the merged networks, and net_g_lora_<name> the adapters.
    """
    nets = {"params": model.net_g}
    if hasattr(model, "net_g_ema"):
        nets["params_ema"] = model.net_g_ema
    model.save_network(list(nets.values()), "net_g", name, list(nets))
    if getattr(model, "lora", None) is not None and get_dist_info()[0] == 0:
        bare = {key: model.get_bare_model(net) for key, net in nets.items()}
        _save_model_file(model, "net_g_lora", name, model.lora.content(bare))


def save_training_state(self: Any, epoch: int, current_iter: int) -> None:
    """Save what resuming needs beyond the networks; every process takes part, each with its own generators.

    The networks come first and this file last, so that a state on disk means that all else is there. With
    current_iter -1 (end of the training) the last iteration is saved as any other, where it is not yet.
    """
    session = getattr(self, "session", None)
    if current_iter == -1:
        if session is not None and session.saved_iter != session.iteration:
            self.save(session.epoch, session.iteration)
        return
    rank, world_size = get_dist_info()
    path = Path(self.opt["path"]["training_states"], f"{current_iter}.state")
    local = session.local_state() if session is not None else {}
    ranks: list[Any] = [None] * world_size  # SHA-256 of the file of each but the first
    if world_size > 1:
        own = save_file(rank_file(path, rank), local) if rank > 0 else None
        distributed.all_gather_object(ranks, own)
    if rank == 0:
        shared = session.shared_state() if session is not None else {}
        saved = self.__dict__.pop("saved_files", {})
        networks = {name: known for name, known in saved.items() if name.endswith(f"_{current_iter}.pth")}
        known = {"networks": networks, "world_size": world_size, "ranks": dict(enumerate(ranks))}
        state: dict[str, Any] = {"epoch": epoch, "iter": current_iter}
        for name in ("optimizers", "schedulers"):
            state[name] = [part.state_dict() for part in getattr(self, name)]
        save_state(path, {**state, OURS: {**shared, **known, "local": local}})
        if keep := self.opt.get("logger", {}).get("keep_checkpoints"):
            prune(path.parent, Path(self.opt["path"]["models"]), keep)
    if session is not None:
        session.saved_iter = current_iter


def resume_training(self: Any, resume_state: dict[str, Any]) -> None:
    """Put optimisers, schedulers and all that the session keeps into the saved state.

    WeightsError where it was made with other networks or losses than the option file has now.
    """
    for name in ("optimizers", "schedulers"):
        saved, own = resume_state[name], getattr(self, name)
        if len(saved) != len(own):
            raise WeightsError(
                f"The training state of iteration {resume_state['iter']} holds {len(saved)} {name}, the option file "
                f"asks for {len(own)}: resume with the networks it was made with, or start from its weights "
                "(path.pretrain_network_g) instead."
            )
        for part, state in zip(own, saved, strict=True):
            part.load_state_dict(_keep_kernels(part, state))
    session = getattr(self, "session", None)
    if session is not None:
        session.restore(resume_state)


def _keep_kernels(part: Any, state: dict[str, Any]) -> dict[str, Any]:
    """Return a state that leaves an optimiser its kernels: which are right depends on the device, not on the run."""
    if "param_groups" not in state:
        return state
    kernels = {name: part.defaults[name] for name in ("foreach", "fused") if name in part.defaults}
    return {**state, "param_groups": [{**group, **kernels} for group in state["param_groups"]]}


def load_network(
    self: Any, net: nn.Module, load_path: str, strict: bool = True, param_key: str | None = "params"
) -> None:
    """Load a network's weights from any layout (see prismsr.utils.weights.files.network_weights), in its own names or
    those of another project (prismsr.utils.weights.renamings).

    Args:
        self: the model.
        net: the network; may be wrapped.
        load_path: a .pth or .safetensors file.
        strict: whether keys and shapes must be the same; if not, what differs is listed and left as it is.
        param_key: key in the file; others are tried where it is missing.

    Raises:
        WeightsError: the file is missing, damaged or unsafe, or does not fit and strict is set.
    """
    net = self.get_bare_model(net)
    state, found = network_weights(load_path, param_key)
    instead = "" if found == param_key or param_key is None else f", since it has no {param_key}"
    get_root_logger().info(f"Loading {type(net).__name__} from {load_path}, {found or 'bare state dict'}{instead}.")
    if strict:
        load_strictly(net, state, load_path, ", or set path.strict_load_... to false")
        return
    state = rename_to_fit(net, state)
    self._print_different_keys_loading(net, state, strict)  # renames the keys of another size, too
    net.load_state_dict(state, strict=False)


def validation(self: Any, dataloader: Any, current_iter: Any, tb_logger: Any, save_img: bool = False) -> None:
    """Validate on every rank; once for each set and iteration while training.

    BasicSR's loop reads one batch past total_iter in each epoch left, so that its closing validation is logged late
    ("14 of 12").
    """
    validate = self.dist_validation if self.opt["dist"] else self.nondist_validation
    session = getattr(self, "session", None)
    if self.is_train:
        current_iter = min(current_iter, int(self.opt["train"]["total_iter"]))
    if session is None:
        validate(dataloader, current_iter, tb_logger, save_img)
    else:
        session.validate(dataloader, current_iter, lambda: validate(dataloader, current_iter, tb_logger, save_img))
