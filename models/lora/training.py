"""LoRA of one training: the network's adapters, their files, and the base that they belong to.

`net_g_lora_<iter>.pth` holds {params: adapter, params_ema: the average's adapter, lora: {rank, alpha, targets,
base_sha256}}; `net_g_<iter>.pth` beside it holds the merged networks. A run that goes on needs the base that it began
with, the adapter, and nothing of the merged file: W + B A cannot be taken apart to the bit.

Paper: AMO, section 5.
"""

import hashlib
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

from prismsr.models.lora.adapters import adapter_state, add_adapters, load_adapter_state
from prismsr.utils.weights.files import WeightsError, read_file

import torch
from basicsr.utils import get_root_logger
from torch import Tensor, nn


class Lora:
    """Adapters of net_g while it is trained.

    Args:
        net: net_g without a wrapper, with its base weights; frozen and adapted in place.
        base: where the base weights came from, for messages.
        resumed: the adapter file to go on from, or None.
        rank, alpha, targets: see `prismsr.models.lora.adapters.add_adapters`; so OptionError.

    Raises:
        WeightsError: the file is damaged, or belongs to another base or other options.
    """

    def __init__(
        self,
        net: nn.Module,
        base: str | None,
        resumed: str | None,
        *,
        rank: int,
        targets: Sequence[str],
        alpha: float | None = None,
    ) -> None:
        self.about: dict[str, Any] = {
            "rank": rank,
            "alpha": float(rank if alpha is None else alpha),
            "targets": list(targets),
            "base_sha256": state_hash(net.state_dict()),
        }
        self.resumed = resumed
        self._saved = None if resumed is None else read_adapter(resumed)
        if self._saved is not None:
            self._require_same(self._saved["lora"], base)
        self.layers = add_adapters(net, rank, alpha, targets)
        if self._saved is not None:
            load_adapter_state(net, self._saved["params"], resumed)
        get_root_logger().info(self._describe(net))

    def _require_same(self, saved: Mapping[str, Any], base: str | None) -> None:
        if saved["base_sha256"] != self.about["base_sha256"]:
            raise WeightsError(
                f"path.pretrain_network_g: {base} is not the network that {self.resumed} was trained on (sha256 of its "
                f"tensors {self.about['base_sha256']}, then {saved['base_sha256']}). Put back the one that the run "
                "began with (param_key_g, too), or begin a new run."
            )
        changed = [f"{key} {self.about[key]}, then {saved[key]}" for key in self.about if self.about[key] != saved[key]]
        if changed:
            raise WeightsError(
                f"The section lora has changed since {self.resumed} was saved: {'; '.join(changed)}. A run goes on "
                "with what it began with."
            )

    def _describe(self, net: nn.Module) -> str:
        total = sum(parameter.numel() for parameter in net.parameters())
        trained = sum(parameter.numel() for parameter in net.parameters() if parameter.requires_grad)
        return (
            f"LoRA: rank {self.about['rank']}, alpha {self.about['alpha']:g}, {len(self.layers)} layers; {trained:,d} "
            f"trainable parameters of {total:,d}."
        )

    def build_average(self, net: nn.Module) -> nn.Module:
        """Return a copy of net_g as its average: the same base, whatever params_ema its file has, an own adapter."""
        average = deepcopy(net).requires_grad_(False)
        text = "The moving average has the same base as net_g; params_ema of its file is not loaded."
        if self._saved is not None:
            saved = self._saved.get("params_ema")
            load_adapter_state(average, self._saved["params"] if saved is None else saved, self.resumed)
            text += "" if saved else f" Its adapter begins as net_g's, since {self.resumed} has no params_ema."
        get_root_logger().info(text)
        return average

    def content(self, nets: Mapping[str, nn.Module]) -> dict[str, Any]:
        """Return an adapter file's content, of params and, where there is an average, params_ema; without wrappers."""
        states = {key: {name: tensor.cpu() for name, tensor in adapter_state(net).items()} for key, net in nets.items()}
        return {**states, "lora": self.about}


def add_lora(model: Any) -> Lora | None:
    """Adapt a model's net_g, its base already loaded, as the section `lora` says; None where there is none."""
    options, path = model.opt.get("lora"), model.opt["path"]
    if options is None:
        return None
    bare = model.get_bare_model(model.net_g)
    lora = Lora(bare, path.get("pretrain_network_g"), path.get("resume_lora_g"), **options)
    model.net_g = model.model_to_device(bare)  # once more: DDP notes what is trained when it is made
    return lora


def read_adapter(path: str | Path) -> dict[str, Any]:
    """Return content of an adapter file, see above; WeightsError where it is damaged or something else."""
    content = read_file(path)
    about = content.get("lora") if isinstance(content, dict) else None
    if not isinstance(about, dict) or not {"rank", "alpha", "targets", "base_sha256"} <= about.keys():
        raise WeightsError(f"{path} is no LoRA adapter (one is called net_g_lora_<iteration>.pth).")
    if not isinstance(content.get("params"), dict):
        raise WeightsError(f"{path} holds no adapter under params.")
    return content


def state_hash(state: Mapping[str, Tensor]) -> str:
    """Return sha256, hex, of a network's tensors: of names, shapes and values in the order of the names.

    Floating-point tensors count as float32, so that a file in half precision and the network it was loaded into agree.
    """
    found = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu()
        tensor = tensor.float() if tensor.is_floating_point() else tensor
        found.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}\n".encode())
        found.update(tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return found.hexdigest()
