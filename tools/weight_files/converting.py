"""Convert a published checkpoint into a file of ours: the authors' names into those of the option file's network."""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prismsr.models.training.checkpoint_files import CheckpointError, save_file
from prismsr.tools.inference.generator_files import build_network_g
from prismsr.tools.weight_files.merging import KEYS, check_output
from prismsr.utils.errors import JobError, OptionError
from prismsr.utils.options.files import load_with_lines
from prismsr.utils.weights.files import WeightsError, load_strictly, network_weights
from prismsr.utils.weights.published import read_list

from torch import Tensor

_TRUSTED = (
    " It is a checkpoint with more than weights, as Lightning writes them. On a machine that you trust it with: "
    "python -c \"import torch; torch.save(torch.load('{}', weights_only=False, map_location='cpu')['state_dict'], "
    "'weights.pth')\", then convert weights.pth."
)


def convert_file(source: Path, output: Path, options: Path, overwrite: bool = False) -> None:
    """Convert, write the file, and print what was converted and on which terms.

    The network's class says how, by `convert_published(state)`; a class without it has the published names. The result
    is loaded strictly into the network of the option file before it is written.

    Args:
        source: the authors' file; params and params_ema are converted both where it has both.
        output: a .pth file.
        options: option file whose network_g it is for.
        overwrite: replace the output.

    Raises:
        OptionError: the output is there already, or the option file is wrong.
        WeightsError: the file needs more than tensors, or has not the tensors of the network.
        JobError: the output cannot be written.
    """
    check_output(output, overwrite, (".pth",))
    if output.resolve() == source.resolve():
        raise OptionError(f"-o {output}: is the authors' file itself; give another name.")
    states = _read_states(source)
    loaded = load_with_lines(options)
    net: Any = build_network_g(loaded, options)
    content: dict[str, Any] = {}
    for key, state in states.items():
        load_strictly(net, _rename(net, state, source), source)
        content[key] = {name: value.detach().clone() for name, value in net.state_dict().items()}
        numbers = sum(value.numel() for value in content[key].values())
        told = f"{len(content[key])} tensors, {numbers:,} numbers, of {len(state)} in the file"
        print(f"{key}: {told}, for {type(net).__name__} of {options}")
    if hasattr(net, "NOTES"):  # as a checkpoint of a training of it has them
        content[net.NOTES] = net.sections
    try:
        save_file(output, content)
    except (CheckpointError, OSError) as error:
        raise JobError(f"{output} cannot be written ({error.__cause__ or error})") from None
    print(f"{output}: written\nterms: {_find_terms(source)}")


def _read_states(source: Path) -> dict[str, Mapping[str, Tensor]]:
    try:
        found = [network_weights(source, key) for key in KEYS]
    except WeightsError as error:
        if isinstance(error.__cause__, pickle.UnpicklingError):
            raise WeightsError(f"{error}{_TRUSTED.format(source)}") from error
        raise
    return {key if key in KEYS else KEYS[0]: state for state, key in found}


def _rename(net: Any, state: Mapping[str, Tensor], source: Path) -> Mapping[str, Tensor]:
    try:
        renamed: Mapping[str, Tensor] = net.convert_published(state) if hasattr(net, "convert_published") else state
    except WeightsError as error:
        raise WeightsError(f"{source}: {error}") from error
    except (LookupError, ValueError, ArithmeticError, RuntimeError) as error:  # names or sizes that no such file has
        raise WeightsError(
            f"{source} is no published file of {type(net).__name__}, or a damaged one: its tensors cannot be renamed "
            f"({error})."
        ) from error
    return renamed


def _find_terms(source: Path) -> str:
    known = [weights.licence for weights in read_list() if Path(weights.path).name == source.name]
    return f"{known[0] if known else 'those of its authors'}; they hold for the converted file, too"
