"""Check a whole option file before anything is built: every problem at once, each with its key path.

Sections are compared with their declared keys (schema.py), {type: X, **arguments} entries with the registries and X's
signature (entries.py). What has to agree across sections stands in rules.py and tensors.py, and for one class alone in
its hook `check_options` (named.py).
"""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

from prismsr.utils.names import did_you_mean
from prismsr.utils.options.entries import FROM, check_entry, check_metric, find_registered, registered_names
from prismsr.utils.options.files import resolve_path
from prismsr.utils.options.named import ask_hook, dataset_schema, model_schema, named_parts
from prismsr.utils.options.problems import Problem, errors_among, join, show
from prismsr.utils.options.rules import RULES
from prismsr.utils.options.schema import (
    DistOptions,
    LoggerOptions,
    OptimizerEntry,
    Options,
    PathOptions,
    TopOptions,
    TrainOptions,
    ValOptions,
    entry_kind,
)
from prismsr.utils.options.tensors import LOSS_GTS, check_inputs, chooses_gt
from prismsr.utils.options.validation import validate_section

from pydantic import create_model

DATA_PATHS = ("dataroot", "meta_info", "scores")
"""Keys of a dataset that begin with one of these name files or folders."""


def check_options(
    opt: Mapping[str, Any],
    source: str,
    *,
    missing_paths: Literal["error", "note"],
    is_train: bool,
    root: str | os.PathLike[str] = ".",
    lines: Mapping[str, str] | None = None,
) -> list[Problem]:
    """Return everything that is wrong with merged options, errors and notes mixed, in the order of the sections.

    Args:
        opt: as load_options returns them.
        source: name of the file for messages.
        missing_paths: whether data and weights that are not there are errors, or notes (for a file that is checked
            on another machine than the one it will run on).
        is_train: whether the file is for training or for testing.
        root: folder that relative paths in the file start from.
        lines: file and line of each key path (load_with_lines), for messages.
    """
    check = _Check(opt, is_train, missing_paths, Path(root), model_schema(opt))
    return [_locate(problem, source, lines or {}) for problem in check.problems()]


def _locate(problem: Problem, source: str, lines: Mapping[str, str]) -> Problem:
    keys = problem.key.split(".")
    paths = (".".join(keys[:length]) for length in range(len(keys), 0, -1))
    return replace(problem, where=next((lines[path] for path in paths if path in lines), source))


_NETWORK_KEY = re.compile(r"^(?:pretrain_network|strict_load|param_key)_(\w+)$")


@cache
def _add_networks(names: tuple[str, ...]) -> type[PathOptions]:
    """Return the schema of `path` with the keys of these networks; kept, since a new one takes milliseconds."""
    fields: dict[str, Any] = {}
    for name in names:
        fields[f"pretrain_network_{name}"] = (str | None, None)
        fields[f"strict_load_{name}"] = (bool, True)
        fields[f"param_key_{name}"] = (str | None, None)
    return create_model("PathOptions", __base__=PathOptions, **fields)


@cache
def _add_optimizers(schema: type[TrainOptions], keys: frozenset[str]) -> type[TrainOptions]:
    """Return the schema of `train` with these keys of optimisers; kept, as `_add_networks`."""
    fields: dict[str, Any] = dict.fromkeys(sorted(keys), (OptimizerEntry | None, None))
    return create_model(schema.__name__, __base__=schema, **fields)


@dataclass
class _Check:
    opt: Mapping[str, Any]
    is_train: bool
    missing_paths: Literal["error", "note"]
    root: Path
    schema: type[TrainOptions] | None

    def problems(self) -> Iterator[Problem]:
        found = list(self._of_sections())
        yield from found
        wrong = errors_among(found)
        for part in named_parts(self.opt, self.is_train):
            try:
                yield from ask_hook(part, self.opt, self.is_train)
            except (TypeError, ValueError, AttributeError, LookupError, ArithmeticError):
                # a hook may take types for granted, of its entry or of what it compares: what is wrong is told
                if not wrong:
                    raise

    def _of_sections(self) -> Iterator[Problem]:
        yield from self._top()
        yield from self._networks()
        yield from self._datasets()
        yield from self._path()
        if self.is_train:
            yield from self._train()
            yield from check_inputs(self.opt)
            yield from self._section("logger", LoggerOptions, required=True)
        yield from self._val()
        yield from self._section("dist_params", DistOptions)
        for rule in RULES:
            yield from rule(self.opt, self.is_train, self.schema)

    def _section(self, key: str, schema: type[Options], *, required: bool = False) -> Iterator[Problem]:
        data = self.opt.get(key)
        if data is None:
            if required:
                purpose = "training" if self.is_train else "testing"
                yield Problem(key, f"the section is required for {purpose}")
        elif isinstance(data, dict):  # anything else is reported with the top level
            yield from validate_section(schema, data, key, is_train=self.is_train)

    # -------------------------------------------------------------------------------------------- sections

    def _top(self) -> Iterator[Problem]:
        schema = TopOptions if self.schema is None else self.schema.TOP
        data = {key: value for key, value in self.opt.items() if not str(key).startswith("network_")}
        if self.schema is None:  # the model may read further keys here
            data = {key: value for key, value in data.items() if key in schema.model_fields}
        yield from validate_section(schema, data, "", is_train=self.is_train)
        model = self.opt.get("model_type")
        if isinstance(model, str):
            known = registered_names("model")
            if model not in known:
                yield Problem("model_type", f"no model named {model!r} is registered{did_you_mean(model, known)}")
            elif self.schema is None:
                yield Problem("train", f"{model} declares no OPTIONS; the keys that it reads are not checked", "note")

    def _networks(self) -> Iterator[Problem]:
        needed = self.schema.NETWORKS if self.schema and self.is_train else ("network_g",)
        for key in needed if self.schema else ():
            if self.opt.get(key) is None:
                yield Problem(key, f"{self.opt.get('model_type')} needs this network")
        for key, entry in self.opt.items():
            unread = isinstance(entry, dict) and FROM in entry  # what is wrong with the file is said where it is read
            if str(key).startswith("network_") and entry is not None and not unread:
                yield from check_entry("arch", entry, key)

    def _datasets(self) -> Iterator[Problem]:
        datasets = self.opt.get("datasets")
        if not isinstance(datasets, dict):
            return
        phases = ("train", "val") if self.is_train else ("test", "val")
        if (datasets.get("train") is None) if self.is_train else not any(datasets.values()):
            yield Problem(join("datasets", phases[0]), "there is no such dataset")
        for key, entry in datasets.items():
            phase = str(key).split("_")[0]
            if entry is None:
                continue
            if phase not in phases or (phase == "train" and key != "train"):
                names = "train, val, val_2, ..." if self.is_train else "test, test_1, ..."
                yield Problem(join("datasets", key), f"unknown dataset; they are called {names}")
            else:
                yield from self._dataset(entry, join("datasets", key), is_train=phase == "train")

    def _dataset(self, entry: Any, prefix: str, *, is_train: bool) -> Iterator[Problem]:
        yield from check_entry("dataset", entry, prefix)
        if not isinstance(entry, dict) or find_registered("dataset", str(entry.get("type"))) is None:
            return
        schema = dataset_schema(entry)
        if schema is None:
            yield Problem(prefix, f"{entry['type']} declares no OPTIONS; its keys are not checked", "note")
        else:
            yield from validate_section(schema, entry, prefix, is_train=is_train)
        for key, value in entry.items():
            if str(key).startswith(DATA_PATHS):
                yield from self._missing(value, join(prefix, key))

    def _path(self) -> Iterator[Problem]:
        data = self.opt.get("path")
        if not isinstance(data, dict):
            return
        networks = tuple(str(key).removeprefix("network_") for key in self.opt if str(key).startswith("network_"))
        rest = {}
        for key, value in data.items():
            network = _NETWORK_KEY.match(str(key))
            if network is None or network[1] in networks:
                rest[key] = value
            elif value is not None and self.is_train:  # a test file may inherit them; null takes back an inherited one
                yield Problem(join("path", key), f"there is no network_{network[1]}")
        yield from validate_section(_add_networks(networks), rest, "path", is_train=self.is_train)
        for key, value in data.items():
            if key == "resume_state" or str(key).startswith("pretrain_network_"):
                yield from self._missing(value, join("path", key))

    def _missing(self, value: Any, key: str) -> Iterator[Problem]:
        if isinstance(value, str) and value:
            path = resolve_path(value, self.root)
            if not os.path.exists(path):
                place = "" if path == value else f" (looked for {path})"
                yield Problem(key, f"no such file or folder: {value}{place}", self.missing_paths, missing=path)

    def _train(self) -> Iterator[Problem]:
        data = self.opt.get("train")
        if not isinstance(data, dict):
            yield from self._section("train", TrainOptions, required=True)
            return
        if self.schema is None:
            return
        networks = {f"optim_{str(key).removeprefix('network_')}" for key in self.opt if str(key).startswith("network_")}
        schema = _add_optimizers(self.schema, frozenset(networks - {*self.schema.model_fields}))
        yield from validate_section(schema, data, "train", is_train=True)
        for key, field in schema.model_fields.items():
            entry, kind = data.get(key), entry_kind(field)
            if kind == "losses" and isinstance(entry, dict):
                for name, loss in entry.items():
                    yield from self._loss(str(name), loss)
            elif kind is not None and kind != "losses" and isinstance(entry, dict):
                yield from check_entry(kind, entry, join("train", key), optimizers=schema.OPTIMIZERS)

    def _loss(self, name: str, entry: Any) -> Iterator[Problem]:
        key = join("train.losses", name)
        if not name.startswith("l_"):
            yield Problem(key, f"the name of a loss begins with l_, as in l_g_{name}")
        loss = find_registered("loss", str(entry.get("type"))) if isinstance(entry, dict) else None
        if isinstance(entry, dict) and "gt" in entry and chooses_gt(loss):  # for the step, not for the loss itself
            if entry["gt"] not in LOSS_GTS:
                yield Problem(join(key, "gt"), f"must be one of {', '.join(LOSS_GTS)}; got {show(entry['gt'])}")
            entry = {name: value for name, value in entry.items() if name != "gt"}
        if entry is not None:
            yield from check_entry("loss", entry, key)

    def _val(self) -> Iterator[Problem]:
        schema = ValOptions if self.schema is None else self.schema.VAL
        data = self.opt.get("val")
        if self.schema is None and isinstance(data, dict):
            data = {key: value for key, value in data.items() if key in schema.model_fields}
            yield from validate_section(schema, data, "val", is_train=self.is_train)
        else:
            yield from self._section("val", schema, required=not self.is_train)
        metrics = data.get("metrics") if isinstance(data, dict) else None
        for name, entry in metrics.items() if isinstance(metrics, dict) else ():
            if entry is not None:
                yield from check_metric(entry, join("val.metrics", name))
