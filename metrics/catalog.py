"""Check that the no-reference metrics which an option file names are there, without building or importing them."""

import importlib.util
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from prismsr.utils.names import did_you_mean
from prismsr.utils.options.problems import Problem, join

OWN = ("natural_scene", "sfd_iqa")
PYIQA = "pyiqa:"
OF_SETS = ("fid", "sfid", "fid_dinov2", "inception_score")
"""pyiqa's metrics of whole sets of images, which it counts among those without reference."""


def check_no_reference(entry: Mapping[str, Any], key: str, opt: Mapping[str, Any], is_train: bool) -> Iterator[Problem]:
    """Check that `metric` of an entry is a no-reference metric of ours or of pyiqa; the hook of whoever builds it."""
    name = entry.get("metric", "musiq")
    if not isinstance(name, str):
        yield Problem(join(key, "metric"), f"must be the name of a metric; got {name!r}")
    elif name not in OWN and (problem := _of_pyiqa(name)):
        yield Problem(join(key, "metric"), problem)


def _of_pyiqa(name: str) -> str:
    """What is wrong with a metric that is not ours; empty where nothing is."""
    known = pyiqa_metrics()
    if known is None:
        return f"{name!r} needs the package pyiqa, which is not installed (ours: {', '.join(OWN)})"
    if name.removeprefix(PYIQA) not in known:
        return f"no no-reference metric named {name!r}{did_you_mean(name, [*known, *OWN])}"
    return ""


@lru_cache(maxsize=1)
def pyiqa_metrics() -> tuple[str, ...] | None:
    """Names of pyiqa's no-reference metrics, or None where it is not installed. It is not imported: seconds."""
    package = importlib.util.find_spec("pyiqa")
    if package is None or not package.submodule_search_locations:
        return None
    path = Path(package.submodule_search_locations[0], "default_model_configs.py")
    spec = importlib.util.spec_from_file_location("pyiqa_metric_names", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    named = module.DEFAULT_CONFIGS.items()
    return tuple(name for name, config in named if config.get("metric_mode") == "NR" and name not in OF_SETS)
