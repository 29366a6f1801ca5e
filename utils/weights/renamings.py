"""Names that parameters have in others' checkpoints: one table, tried where a name does not fit the network.

Covered are RRDBNet in old ESRGAN's names, RRDBNet and MSRResNet in those of mmsr (KAIR's, BebyGAN's and BSRGAN's are
the same), and the original ELAN.
"""

import re
from collections.abc import Container, Mapping
from typing import Any

from torch import Tensor, nn

_DROPPED = ""
_RENAMINGS = (
    # old ESRGAN: places in nn.Sequential
    (r"model\.0\.(\w+)", r"conv_first.\1"),
    (r"model\.1\.sub\.(\d+)\.RDB(\d)\.conv(\d)\.0\.(\w+)", r"body.\1.rdb\2.conv\3.\4"),
    (r"model\.1\.sub\.\d+\.(\w+)", r"conv_body.\1"),
    (r"model\.3\.(\w+)", r"conv_up1.\1"),
    (r"model\.6\.(\w+)", r"conv_up2.\1"),
    (r"model\.8\.(\w+)", r"conv_hr.\1"),
    (r"model\.10\.(\w+)", r"conv_last.\1"),
    # mmsr, KAIR
    (r"RRDB_trunk\.(\d+)\.RDB(\d)\.(.+)", r"body.\1.rdb\2.\3"),
    (r"recon_trunk\.(.+)", r"body.\1"),
    (r"trunk_conv\.(\w+)", r"conv_body.\1"),
    (r"upconv([12])\.(\w+)", r"conv_up\1.\2"),
    (r"HRconv\.(\w+)", r"conv_hr.\1"),
    # the original ELAN keeps the image's mean in convolutions
    (r"(?:sub|add)_mean\.(?:weight|bias)", _DROPPED),
)
"""Pattern of a whole name, and the name instead of it."""


def rename_to_fit(net: nn.Module, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a state dict in the network's own names, as far as the table knows them; the rest is left as it is.

    A weight that the network has under two names gets both where the state dict has one. A network may know further
    layouts of its own, by the hook `rename_weights(state)`.
    """
    own = net.state_dict(keep_vars=True)
    rename: Any = getattr(net, "rename_weights", None)
    if rename is not None and own.keys() != state.keys():
        state = rename(state)
    missing = own.keys() - state.keys()
    names = {key: key if key in own else _find_name(key, missing) for key in state}
    fitting = {name: state[key] for key, name in names.items() if name != _DROPPED}
    given = {id(own[name]): value for name, value in fitting.items() if name in own}
    return {**{name: given[id(weight)] for name, weight in own.items() if id(weight) in given}, **fitting}


def _find_name(key: str, missing: Container[str]) -> str:
    """Return the table's name for a key, of those that the network still misses; the key itself where there is none."""
    for pattern, name in _RENAMINGS:
        found = re.fullmatch(pattern, key)
        if found and (not name or found.expand(name) in missing):
            return found.expand(name)
    return key


def count_parts(state: Mapping[str, Tensor], name: str) -> int:
    """Return how many numbered parts a state dict has below a name, e.g. 2 with body.0.weight and body.1.weight."""
    beginning = f"{name}."
    return len({key.removeprefix(beginning).split(".")[0] for key in state if key.startswith(beginning)})
