"""Read a network and its weights from one file by spandrel."""

from pathlib import Path
from typing import Any, Literal

from prismsr.utils.errors import shorten_error
from prismsr.utils.options.signatures import default_of, takes
from prismsr.utils.weights.files import WeightsError, network_weights, read_file

from torch import Tensor

ParamKey = Literal["auto", "params_ema", "params"]


def read_spandrel(path: Path, param_key: ParamKey = "auto", hint: str = "") -> Any:
    """Return spandrel's descriptor of the network in a weights file, on the CPU; the file is read by `read_file`.

    Besides spandrel's networks it knows ours that read their arguments from weights (see own_architectures.py).

    Args:
        path: the file.
        param_key: see `prismsr.tools.inference.generator.load_generator`.
        hint: what to do where spandrel does not know the network; "" for what inference says.

    Raises:
        WeightsError: it cannot be read safely, or spandrel knows no such network, or is not installed.
    """
    try:
        from prismsr.utils.weights.own_architectures import make_registry

        import spandrel  # type: ignore[import-not-found,import-untyped,unused-ignore]
    except ImportError as error:
        raise WeightsError(f"{path}: weights alone are read by the package spandrel: pip install spandrel") from error
    content = read_file(path) if param_key == "auto" else state_dict(path, param_key)[0]
    try:
        loader = spandrel.ModelLoader("cpu", make_registry())
        return loader.load_from_state_dict(spandrel.canonicalize_state_dict(content))
    except Exception as error:  # a network that looks like a known one fails in as many ways as there are networks
        raise WeightsError(
            f"{path}: spandrel {getattr(spandrel, '__version__', '')} finds no network in it that it knows "
            f"({shorten_error(error)}). " + (hint or _OPTION_FILE.format(path))
        ) from error


def read_arguments(path: Path) -> dict[str, Any]:
    """Return {type: X, **arguments} of the network in a weights file, as an option file names it.

    For errors see `read_spandrel`; an argument that no option file can write is a WeightsError, too.
    """
    net = read_spandrel(path, hint="Name the network by `type` and its arguments instead of `from`.").model
    from prismsr.utils.options.spandrel_networks import list_networks

    network = next((known for known in list_networks().values() if known.kind is type(net)), type(net))
    given = {key: value for key, value in net.hyperparameters.items() if takes(network, key)}
    plain = {key: value for key, value in given.items() if _is_plain(value)}
    for key in given.keys() - plain.keys():
        if given[key] is not default_of(network, key):
            raise WeightsError(f"{path}: {network.__name__} has {key}={given[key]!r}, which no option file can write.")
    return {"type": network.__name__, **{key: _listed(value) for key, value in plain.items()}}


def _is_plain(value: Any) -> bool:
    inside = value if isinstance(value, list | tuple) else value.values() if isinstance(value, dict) else None
    return isinstance(value, bool | int | float | str | None) if inside is None else all(map(_is_plain, inside))


def _listed(value: Any) -> Any:
    return [_listed(item) for item in value] if isinstance(value, list | tuple) else value


_OPTION_FILE = (
    "Name the option file that says which network it is, and this file as its weights: --model OPTIONS.yml --weights {}"
)


def state_dict(path: Path, param_key: ParamKey) -> tuple[dict[str, Tensor], str | None]:
    """Return a checkpoint's state dict and its key; WeightsError: unreadable, or without the key asked for by name."""
    state, key = network_weights(path, "params_ema" if param_key == "auto" else param_key)
    if param_key not in ("auto", key):
        held = key or "a bare state dict"
        raise WeightsError(f"{path} holds no {param_key} (it holds {held}); --param_key auto takes that.")
    return state, key
