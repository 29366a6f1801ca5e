"""Build generators from files: an option file and a checkpoint, or any weights that spandrel knows."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prismsr.tools.inference.defaults import PRECISIONS
from prismsr.utils.errors import OptionError, UserError, shorten_error
from prismsr.utils.files import hash_file
from prismsr.utils.options.channels import find_argument
from prismsr.utils.options.entries import check_entry, find_registered
from prismsr.utils.options.files import LoadedOptions, load_with_lines, resolve_path, shown
from prismsr.utils.options.problems import Problem, errors_among
from prismsr.utils.options.sections import section
from prismsr.utils.weights.files import WeightsError, load_strictly
from prismsr.utils.weights.network_files import fill_from_files
from prismsr.utils.weights.network_notes import require_same_options, tell_unsaid_options
from prismsr.utils.weights.spandrel import ParamKey, read_spandrel, state_dict

import torch
from torch import Tensor, nn

_PROBE = 16  # pixels: side of the image that a network's scale is measured with


@dataclass(eq=False)
class Built:
    """A network, on the CPU, frozen and in eval mode, and what is known of it.

    Attributes:
        net: the network itself, spandrel's descriptor of it, or a network that is sampled; maps (1, channels, h, w) in
            [0, 1] to scale times that.
        name: the experiment's or the file's.
        scale: whole number.
        window_size: the sides of what the network gets are multiples of it; images are mirrored at their right and
            lower border to such a size, as in validation.
        settings: what the output depends on, as plain values: network and hash of the weights.
        channels: 3 (RGB), or 1: the network then sees each colour channel as a picture of its own.
        luma: a network of one channel enlarges Y of BT.601 in 16/255 to 235/255, and bicubic the colours.
        whole: whether the network is not to be run in tiles, because it needs the whole image.
        precisions: those that it can be run in.
    """

    net: Callable[[Tensor], Tensor]
    name: str
    scale: int
    window_size: int = 1
    settings: dict[str, Any] = field(default_factory=dict)
    channels: int = 3
    whole: bool = False
    precisions: tuple[str, ...] = PRECISIONS
    luma: bool = False


def build_from_options(file: Path, weights: Path | None, param_key: ParamKey, root: Path) -> Built:
    """Build the `network_g` of an option file with its weights; see `load_generator`."""
    loaded = load_with_lines(file)
    raise_problems(fill_from_files(loaded, shown(file), root), loaded, file)
    net = build_network_g(loaded, file)
    options = loaded.options["network_g"]
    name, settings = load_weights(
        net, loaded.options, file, weights or find_checkpoint(loaded.options, file, root), param_key
    )
    multiple = _find_multiple(options, net)
    found = find_argument(options)
    channels = 1 if found is not None and found[1] == 1 else 3
    luma = channels == 1 and _trains_on_luma(loaded.options)
    settings |= {"color": "y"} if luma else {}
    scale = _measure_scale(net, multiple, channels, file)
    facts = getattr(net, "facts", None)  # of spandrel's networks
    more = {} if facts is None else {"whole": facts.whole, "precisions": facts.precisions}
    return Built(net, name, scale, multiple, settings, channels, luma=luma, **more)


def load_weights(
    net: nn.Module,
    options: Mapping[str, Any],
    file: Path,
    path: Path,
    param_key: ParamKey,
    load: Callable[[Any, dict[str, Tensor], Path], None] = load_strictly,
) -> tuple[str, dict[str, Any]]:
    """Load the checkpoint at `path` into an option file's `network_g`; return its name and settings, see `Built`."""
    state, key = state_dict(path, param_key)
    require_same_options(net, path, strict=section(options, "path").get("strict_load_g") is not False)
    load(net, state, path)
    net.eval().requires_grad_(False)
    network = json.loads(json.dumps(options["network_g"]))
    return str(options.get("name") or file.stem), {"network": network, "weights": hash_file(path), "param_key": key}


def _trains_on_luma(options: Mapping[str, Any]) -> bool:
    """Return whether the datasets of an option file give BasicSR's Y; that of training counts where there is one."""
    sets = section(options, "datasets")
    entries = [sets["train"]] if isinstance(sets.get("train"), dict) else [*sets.values()]
    return any(isinstance(entry, dict) and entry.get("color") == "y" for entry in entries)


def build_network_g(loaded: LoadedOptions, file: Path) -> nn.Module:
    """Build the `network_g` of an option file.

    Raises:
        OptionError: the section is missing, or names an unknown network or arguments, all of that at once; or these do
            not fit together.
    """
    raise_problems(check_entry("arch", loaded.options.get("network_g"), "network_g"), loaded, file)
    arguments = dict(loaded.options["network_g"])
    kind = arguments.pop("type")
    try:
        net: nn.Module = find_registered("arch", kind)(**arguments)
    except UserError:
        raise
    except Exception as error:  # whatever goes wrong in the network's code
        told = f"{type(error).__name__}: {shorten_error(error)}"
        raise_problems([Problem("network_g", f"{kind}: its arguments do not fit together ({told})")], loaded, file)
        raise
    return net


def raise_problems(problems: Iterable[Problem], loaded: LoadedOptions, file: Path) -> None:
    """Raise OptionError with all the errors among the problems, if any, each with its line."""
    if errors := errors_among(problems):
        where = [loaded.lines.get(problem.key, loaded.lines.get("network_g", shown(file))) for problem in errors]
        raise OptionError(
            "\n".join(f"{line}: {error.key}: {error.message}" for line, error in zip(where, errors, strict=True))
        )


def find_checkpoint(options: Mapping[str, Any], file: Path, root: Path) -> Path:
    """Find the weights that belong to an option file, see `load_generator`; WeightsError where there are none."""
    pretrained = (options.get("path") or {}).get("pretrain_network_g")
    if options.get("train") is None and pretrained:
        return Path(resolve_path(pretrained, root))
    models = root / "experiments" / str(options.get("name")) / "models"
    for name in ("net_g_latest.pth", "net_g_latest.safetensors"):
        if (models / name).is_file():
            return models / name
    raise WeightsError(
        f"{shown(file)}: there is no {shown(models / 'net_g_latest.pth')}; train this experiment first, or name a "
        "checkpoint by --weights."
    )


def _find_multiple(options: Mapping[str, Any], net: nn.Module) -> int:
    """Return what the sides of a network's input are to be multiples of: the grid of its windows."""
    if options["type"] == "RRDBNet" and options.get("scale", 4) in (1, 2):
        return 4 // int(options["scale"])  # it begins with a pixel unshuffle
    facts: Any = getattr(net, "facts", None)
    if facts is not None:
        return int(facts.multiple)
    return int(options.get("window_size", getattr(net, "window_size", 1)))


@torch.inference_mode()
def _measure_scale(net: nn.Module, multiple: int, channels: int, file: Path) -> int:
    """Measure the scale, because option files say it in as many ways as there are networks."""
    side = -(-_PROBE // multiple) * multiple
    try:
        output = net(torch.zeros(1, channels, side, side))
    except RuntimeError as error:
        kind = "an RGB" if channels == 3 else "a grey"
        raise OptionError(f"{shown(file)}: network_g does not take {kind} image of {side}x{side}: {error}") from error
    scale = int(output.shape[-1]) // side
    if scale < 1 or tuple(output.shape) != (1, channels, scale * side, scale * side):
        raise OptionError(
            f"{shown(file)}: network_g makes {tuple(output.shape)} of (1, {channels}, {side}, {side}); an image of as "
            "many channels, enlarged by a whole number, is wanted"
        )
    return scale


def build_from_weights(path: Path, param_key: ParamKey) -> Built:
    """Build the network of a weights file that spandrel recognises, in its descriptor.

    Raises:
        WeightsError: see `read_spandrel` and `tell_unsaid_options`; or the network takes a mask, or does not map RGB to
            RGB or 1 channel to 1.
    """
    model = read_spandrel(path, param_key)
    tell_unsaid_options(model.model, path)
    from prismsr.utils.options.spandrel_networks import is_run_whole, list_precisions  # with spandrel, which is there

    kind = model.architecture.name
    if model.purpose == "Inpainting":
        raise WeightsError(f"{path}: {kind} wants a mask; an image alone is given here.")
    channels = (model.input_channels, model.output_channels)
    if channels not in ((3, 3), (1, 1)):
        raise WeightsError(f"{path}: {kind} maps {channels[0]} channels to {channels[1]}; 3 to 3 or 1 to 1 is needed.")
    return Built(
        model.eval(),
        path.stem,
        model.scale,
        model.size_requirements.multiple_of,
        {"network": kind, "weights": hash_file(path), "param_key": param_key},
        channels[0],
        is_run_whole(model),
        list_precisions(model),
    )
