"""Check that the tensors which losses ask for are there: from the model, from network_g, or from the training dataset.

A loss class lists them in `inputs`, a model class in `HANDS`, a dataset class in `GIVES`, an arch that returns more
than SR in `OUTPUTS`. Some tensors are there with an option only: then HANDS or GIVES is a mapping from each name to the
key of that option, "" for none. The key is of the whole option file for a model, and of its own section for a dataset.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from prismsr.utils.loss_inputs import input_names, required_inputs
from prismsr.utils.options.entries import find_registered, registered_names
from prismsr.utils.options.named import find_model
from prismsr.utils.options.problems import Problem, join
from prismsr.utils.options.sections import section

LOSS_GTS = ("gt", "gt_usm")
"""What an entry of `train.losses` may name as its `gt`: the GT image, or the sharpened one."""
_DECLARED = (("dataset", "GIVES"), ("model", "HANDS"), ("arch", "OUTPUTS"))


def check_inputs(opt: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield a problem for each loss that asks for a tensor which nobody gives: model, network_g or training dataset.

    Models that declare no HANDS are passed over. A dataset that declares no GIVES gives nothing beside the model.
    """
    entry = section(opt, "datasets", "train")
    model = find_model(opt)
    dataset = find_registered("dataset", str(entry.get("type")))
    if dataset is None or not hasattr(model, "HANDS"):
        return
    arch = str(section(opt, "network_g").get("type"))
    lacks = (
        _lacking(getattr(dataset, "GIVES", ()), entry, "datasets.train"),
        _lacking(model.HANDS, opt, ""),
        dict.fromkeys(getattr(find_registered("arch", arch), "OUTPUTS", ()), ""),
    )
    nobody = f"which none of {model.__name__}, {arch} (network_g) and {entry['type']} (datasets.train) gives"
    for name, loss in section(opt, "train", "losses").items():
        found: dict[tuple[str, str], list[str]] = {}
        for tensor, key in _asked(loss, join("train.losses", name)):
            lacking = [lack[tensor] for lack in lacks if tensor in lack]
            if all(lacking):
                reason = f"given with {' or '.join(lacking)} only" if lacking else f"{nobody}; {_givers(tensor)}"
                found.setdefault((key, reason), []).append(tensor)
        for (key, reason), tensors in found.items():
            yield Problem(key, f"asks for {' and '.join(tensors)}, {reason}")


def chooses_gt(loss: Any) -> bool:
    """Return whether an entry of this loss may have a key `gt`: those that compare with the GT, and unknown ones."""
    return loss is None or "gt" in input_names(loss)


def needed_key(declared: Collection[str], tensor: str) -> str:
    """Return the key with which a tensor of HANDS or GIVES is there; "" where it always is."""
    return str(declared[tensor]) if isinstance(declared, Mapping) else ""


def _lacking(declared: Collection[str], options: Mapping[str, Any], prefix: str) -> dict[str, str]:
    """Return the declared tensors, each with the key path that it needs and that is not set; "" where none is."""
    keys = {tensor: needed_key(declared, tensor) for tensor in declared}
    return {tensor: join(prefix, key) if key and not _is_set(options, key) else "" for tensor, key in keys.items()}


def _is_set(options: Mapping[str, Any], key: str) -> bool:
    *above, last = key.split(".")
    return section(options, *above).get(last) not in (None, False, 0)


def _asked(loss: Any, key: str) -> Iterator[tuple[str, str]]:
    """Yield the tensors that an entry of train.losses asks for, each with the key path that says so."""
    entry = section(loss)
    found = find_registered("loss", str(entry.get("type")))
    for tensor in required_inputs(found) if hasattr(found, "forward") else ():
        if tensor == "gt" and entry.get("gt") in LOSS_GTS:
            yield str(entry["gt"]), join(key, "gt")
        else:
            yield tensor, key


def _givers(tensor: str) -> str:
    """Return who gives a tensor, in words."""
    found = []
    for kind, attribute in _DECLARED:
        for name in sorted(registered_names(kind)):
            declared = getattr(find_registered(kind, name), attribute, ())
            if tensor in declared:
                key = needed_key(declared, tensor)
                found.append(f"{name}{' with ' if key else ''}{key}")
    if found:
        return f"{' or '.join(found)} would give that"
    return "a dataset that returns it names it in its class attribute GIVES"
