"""How many channels a network maps, and whether the datasets of an option file give as many."""

from collections.abc import Iterator, Mapping
from typing import Any

from prismsr.utils.options.entries import find_registered
from prismsr.utils.options.named import dataset_schema, named_losses
from prismsr.utils.options.problems import Problem, join
from prismsr.utils.options.schema import DatasetOptions, TrainOptions
from prismsr.utils.options.sections import count, section
from prismsr.utils.options.signatures import default_of, takes

ONE_CHANNEL = ("y", "gray")
"""Values of a dataset's `color` with which it gives one channel instead of RGB."""
_BOTH = ("in_chans", "img_channel", "colors")
_INPUT, _OUTPUT = ("num_in_ch", *_BOTH), ("num_out_ch", *_BOTH)


def find_argument(entry: Mapping[str, Any], output: bool = False) -> tuple[str, int] | None:
    """Return the argument that holds the channels of a network's images, and its value; None where none is known.

    The images are those that it takes, or with `output` those that it makes; `entry` is {type: X, **arguments}. The
    class may name arguments of its own, of both, in CHANNEL_ARGUMENTS, and say in CHANNELS how many there are where no
    argument tells: then the name is "".
    """
    arch = find_registered("arch", str(entry.get("type")))
    own = getattr(arch, "CHANNEL_ARGUMENTS", ((), ()))
    for name in (*_OUTPUT, *own[1]) if output else (*_INPUT, *own[0]):
        if arch is not None and takes(arch, name):
            value = count(entry.get(name, default_of(arch, name)))
            return None if value is None else (name, value)
    return ("", arch.CHANNELS) if hasattr(arch, "CHANNELS") else None


def check_channels(opt: Mapping[str, Any], is_train: bool, schema: type[TrainOptions] | None) -> Iterator[Problem]:
    """Check that networks take and make as many channels as the datasets give."""
    for key, entry in section(opt, "datasets").items():
        dataset = dataset_schema(entry) if isinstance(entry, dict) and (is_train or key != "train") else None
        if dataset is None:
            continue
        yield from _check_network("network_g", False, join("datasets", key), entry, dataset, opt)
        if "dataroot_gt" in dataset.model_fields:
            yield from _check_network("network_g", True, join("datasets", key), entry, dataset, opt)
        for network in _judges(opt) if key == "train" else ():
            yield from _check_network(network, False, join("datasets", key), entry, dataset, opt)


def _judges(opt: Mapping[str, Any]) -> list[str]:
    """Return the discriminators that see whole images."""
    views = {f"network_{loss.entry.get('discriminator', 'd')}" for loss in named_losses(opt) if loss.entry.get("view")}
    names = [str(name) for name in opt if str(name).startswith("network_d") and name not in views]
    return [
        name for name in names if not hasattr(find_registered("arch", str(section(opt, name).get("type"))), "features")
    ]


def _check_network(
    network: str,
    output: bool,
    key: str,
    entry: Mapping[str, Any],
    dataset: type[DatasetOptions],
    opt: Mapping[str, Any],
) -> Iterator[Problem]:
    color, found = entry.get("color"), find_argument(section(opt, network), output)
    given = 1 if color in ONE_CHANNEL else 3
    if found is None or found[1] == given:
        return
    name, value = found
    if not name:
        if not output:
            text = f"is {color}, but {network}, {section(opt, network)['type']}, has {value} channels: leave it out (~)"
            yield Problem(join(key, "color"), text)
        return
    if given == 1:
        advice = f"set it to 1, or leave {key}.color out (~)"
    elif value == 1 and "color" in dataset.model_fields:
        advice = f"set {key}.color to y (luminance), or {name} to 3"
    else:
        advice = f"{entry['type']} gives RGB: set {name} to 3"
    yield Problem(join(network, name), f"is {value}, but {key} gives {given} channel{'s' * (given > 1)}; {advice}")
