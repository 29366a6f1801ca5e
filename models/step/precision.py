"""Mixed precision of a training step: where autocast is on, and how a loss is scaled on its way back."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

import torch
from torch import Tensor, nn

Amp = Literal["bf16", "fp16"]
_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


class Precision:
    """float32, or networks under autocast ("bf16", "fp16"), the latter with a loss scale that is searched for."""

    def __init__(self, amp: Amp | None, device: torch.device) -> None:
        self.amp = amp
        self.device_type = device.type
        self.scaler = torch.amp.GradScaler(device.type) if amp == "fp16" else None
        self._unscaled = False

    def autocast(self) -> AbstractContextManager[Any]:
        """Return context in which networks run."""
        if self.amp is None:
            return nullcontext()
        # The cache of cast weights would hand those made under no_grad (a mean logit) to a pass that needs gradients.
        return torch.autocast(self.device_type, _DTYPES[self.amp], cache_enabled=False)

    def run_term(self, term: nn.Module) -> AbstractContextManager[Any]:
        """Return context of a loss term: that of the networks where its class says `autocast = True`, else float32."""
        return self.autocast() if getattr(term, "autocast", False) else nullcontext()

    def backward(self, loss: Tensor, parts: int = 1) -> None:
        """Add the gradient of a scalar loss / parts, scaled; where a loss is not finite, it is not, either.

        This is no matter of course: the gradient of |sr - gt| is 0 where gt is NaN.
        """
        value = loss.detach()
        seed = value * 0 + 1 if value.numel() == 1 else None  # 1, or NaN; None lets autograd refuse
        with torch.autocast(self.device_type, enabled=False) if self.amp else nullcontext():
            loss = loss / parts if parts > 1 else loss
            (self.scaler.scale(loss) if self.scaler else loss).backward(seed)

    def unscale(self, optimizer: torch.optim.Optimizer) -> None:
        """Take the loss scale out of the gradients of an optimiser's parameters."""
        if self.scaler:
            self.scaler.unscale_(optimizer)
            self._unscaled = True

    @property
    def searching(self) -> bool:
        """Return whether the loss scale can still fall, so that a gradient that is not finite may be its doing."""
        return self.scaler is not None and self.scaler.get_scale() > 1

    def end_step(self, keep_scale: bool) -> None:
        """Let the scale rise or fall by what the gradients of this step were, unless it is not to blame for them."""
        if self.scaler and self._unscaled:
            self.scaler.update(self.scaler.get_scale() if keep_scale else None)
        self._unscaled = False

    def state(self) -> dict[str, Any]:
        """Return the scaler's state, numbers only; empty without a scaler."""
        return self.scaler.state_dict() if self.scaler else {}

    def load_state(self, state: dict[str, Any]) -> None:
        """Take over what `state` returned; nothing where one of both has no scaler (amp was changed)."""
        if self.scaler and state:
            self.scaler.load_state_dict(state)
