"""The published weights (pretrained.yml): where each belongs on this machine, and whether it is there and whole."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from prismsr.utils.files import hash_file
from prismsr.utils.options.yaml_loader import read_yaml
from prismsr.utils.weights.files import WeightsError, read_file

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator

LIST = Path(__file__).with_name("pretrained.yml")
HUB, HF = "torch_hub:", "hf:"
READABLE = (".pth", ".pt", ".safetensors")
FULL = 64
"""Digits of a whole SHA-256."""
State = Literal["there", "missing", "damaged"]


class Weights(BaseModel):
    """An entry of the list; the head of pretrained.yml describes its keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str
    licence: str
    url: str | None = None
    page: str | None = None
    sha256: str = Field(default="", pattern=r"^([0-9a-f]{8,64})?$")
    size: int | None = Field(default=None, gt=0)
    needed_by: tuple[str, ...] = Field(default=(), alias="for")
    files: tuple[str, ...] = ()
    format: Literal["tensors", "torchscript"] = "tensors"

    @model_validator(mode="after")
    def _has_a_source(self) -> "Weights":
        if not (self.url or self.page or self.path.startswith(HF)):
            raise ValueError(f"{self.path} has neither url nor page")
        if self.path.startswith(HF) and self.path.count("/") < 2:
            raise ValueError(f"{self.path} must be hf:OWNER/REPOSITORY/FILE")
        return self

    @property
    def name(self) -> str:
        """Return the file's name, for people; with its folder or repository where many have the same."""
        shared = self.hub or self.path.endswith(("/net_g.pth", "/0_G.pth"))
        return "/".join(self.path.split("/")[-2 if shared else -1 :])

    @property
    def hub(self) -> tuple[str, str] | None:
        """Return (repository, file) on the Hugging Face hub; None for entries of other places."""
        if not self.path.startswith(HF):
            return None
        owner, name, file = self.path.removeprefix(HF).split("/", 2)
        return f"{owner}/{name}", file

    @property
    def source(self) -> str:
        """Return where it comes from, for people."""
        return self.url or self.page or f"https://huggingface.co/{'/'.join(self.path.removeprefix(HF).split('/')[:2])}"

    def serves(self, what: str) -> bool:
        """Return whether a need (see weight_needs) is met by it."""
        return what in self.needed_by or what == f"file:{self.path}"


@dataclass(frozen=True)
class Finding:
    """What was found of an entry: its state, and what there is to say of it."""

    state: State
    text: str


@lru_cache(maxsize=4)
def read_list(path: Path = LIST) -> tuple[Weights, ...]:
    """Return all entries; OptionError for no YAML, pydantic.ValidationError for an entry's wrong keys or values."""
    data, _ = read_yaml(path.read_text(encoding="utf8"), path.name)
    return tuple(Weights.model_validate(entry) for entry in data)


def place(weights: Weights, root: Path) -> Path | None:
    """Return where the file belongs below the repository `root`; None if the Hugging Face cache does not have it."""
    if weights.hub is not None:
        from huggingface_hub import try_to_load_from_cache

        found = try_to_load_from_cache(*weights.hub)
        return Path(found) if isinstance(found, str) else None
    if weights.path.startswith(HUB):
        return Path(torch.hub.get_dir()) / weights.path.removeprefix(HUB)
    return root / weights.path


def is_there(weights: Weights, root: Path) -> bool:
    """Return whether the file of an entry is at its place; its content is not read."""
    path = place(weights, root)
    return path is not None and path.is_file()


def shown_place(weights: Weights, root: Path) -> str:
    """Return where the file belongs, for people."""
    path = place(weights, root)
    if path is None:
        return f"the Hugging Face cache (HF_HOME), {weights.path.removeprefix(HF)}"
    return weights.path if path == root / weights.path else str(path)


def examine(weights: Weights, root: Path) -> Finding:
    """Return whether the file is there, has the published size and hash, and can be read without running code."""
    path = place(weights, root)
    if path is None or not path.is_file():
        return Finding("missing", "not there")
    size = path.stat().st_size
    if weights.size is not None and size != weights.size:
        return Finding("damaged", f"has {size:,} bytes instead of {weights.size:,}: incomplete or another file")
    digest = hash_file(path)
    if not digest.startswith(weights.sha256):
        return Finding("damaged", f"SHA-256 is {digest}, published is {weights.sha256}: damaged or another file")
    if weights.format == "tensors" and path.suffix in READABLE:
        try:
            read_file(path)
        except WeightsError as error:
            return Finding("damaged", str(error))
    # files of many repositories have the same name
    origin = f" of {weights.path.removeprefix(HF).rpartition('/')[0]}" if weights.hub else ""
    return Finding("there", f"{size:,} bytes{origin}, SHA-256 {digest} ({_agree(weights.sha256)})")


def _agree(published: str) -> str:
    if not published:
        return "none is published"
    return "as published" if len(published) == FULL else f"published: begins with {published}"


def maker_of(what: str, options: dict[str, dict[str, Any]]) -> str | None:
    """Return the option file, of merged ones by their path, whose training writes the checkpoint of a need, or None."""
    parts = Path(what.removeprefix("file:")).parts
    if not what.startswith("file:experiments/") or len(parts) != 4 or parts[2] != "models":
        return None
    return next((file for file, content in options.items() if content.get("name") == parts[1]), None)
