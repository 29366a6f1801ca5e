"""Loading: safe YAML, inheritance by `_base_`, overrides, and the merged file that is kept."""

from pathlib import Path
from typing import Any

from prismsr.utils.errors import OptionError
from prismsr.utils.options.files import apply_overrides, load_options, load_with_lines, merge, save_options
from prismsr.utils.options.yaml_loader import read_yaml

import pytest


def parse(text: str) -> Any:
    return read_yaml(text, "x.yml")[0]


def put(folder: Path, **files: str) -> None:
    for name, text in files.items():
        (folder / f"{name}.yml").write_text(text, encoding="utf8")


# ---------------------------------------------------------------------------------------------------- YAML


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("5E3", 5000.0),
        ("+2.5e-3", 2.5e-3),
        (".5", 0.5),
        ("255.", 255.0),
        ("!!float 1e-4", 1e-4),
        ("-1", -1),
        ("true", True),
        ("~", None),
        ("2024-01-01", "2024-01-01"),
        ("x4", "x4"),
        ("1e", "1e"),
        ("1.2.3", "1.2.3"),
        ("'1e-4'", "1e-4"),
    ],
)
def test_scalars(text: str, value: Any) -> None:
    assert parse(text) == value
    assert type(parse(text)) is type(value)


def test_duplicate_key_names_both_lines_and_the_path() -> None:
    with pytest.raises(OptionError, match=r"^x\.yml:4: .*train\.lr.*x\.yml:2"):
        parse("train:\n  lr: 1\n  gamma: 2\n  lr: 3\n")


@pytest.mark.parametrize(
    "value", ["!!python/object/apply:os.getcwd []", "!!python/name:os.getcwd", "!!set {a}", "!mine 1", "!!binary aGk="]
)
def test_tags_are_refused(value: str) -> None:
    with pytest.raises(OptionError, match=r"x\.yml:2: "):
        parse(f"a: 1\nb: {value}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1", r"x\.yml:1: not valid YAML"),
        ("a:\n\tb: 1", r"x\.yml:2: not valid YAML"),
        ("a: &x [*x]", r"x\.yml:1: a\[0\] contains itself"),
        ("on: 1", r"the key 'on' is not text; put it in quotes"),
        ("a: 1\n---\nb: 2", r"not valid YAML: but found another document"),
    ],
)
def test_broken_files(text: str, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        parse(text)


def test_merge_keys_and_aliases_give_separate_containers(tmp_path: Path) -> None:
    put(tmp_path, a="x: &x {type: Adam, betas: [0.9, 0.99]}\ny: *x\nz:\n  <<: *x\n  lr: 1\n")
    options = load_options(tmp_path / "a.yml")
    assert options["y"] == {"type": "Adam", "betas": [0.9, 0.99]}
    assert options["z"] == {"type": "Adam", "betas": [0.9, 0.99], "lr": 1}
    options["x"].pop("type")  # as BasicSR does
    options["x"]["betas"].clear()
    assert options["y"] == {"type": "Adam", "betas": [0.9, 0.99]}


# --------------------------------------------------------------------------------------------- inheritance


def test_later_files_win_key_by_key(tmp_path: Path) -> None:
    put(
        tmp_path,
        run="logger: {print_freq: 100, wandb: {project: ~}}\nscale: 4\n",
        net="network_g: {type: RRDBNet, num_feat: 64}\nscale: 2\n",
        mine="_base_: [run.yml, net.yml]\nnetwork_g: {num_feat: 32}\nlogger: {print_freq: 1, list: [1, 2]}\n",
        more="_base_: mine.yml\nlogger: {list: [3], wandb: ~}\nnew: 1\n",
    )
    assert load_options(tmp_path / "more.yml") == {
        "logger": {"print_freq": 1, "wandb": None, "list": [3]},
        "scale": 2,
        "network_g": {"type": "RRDBNet", "num_feat": 32},
        "new": 1,
    }


def test_base_is_relative_to_its_file_and_may_be_shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "_base_").mkdir()
    (tmp_path / "ssl").mkdir()
    put(tmp_path / "_base_", run="a: 1\n", net="_base_: run.yml\nb: 2\n", data="_base_: run.yml\na: 5\nc: 3\n")
    put(tmp_path / "ssl", x="_base_: [../_base_/net.yml, ../_base_/data.yml]\n")
    monkeypatch.chdir(tmp_path / "_base_")
    assert load_options(tmp_path / "ssl" / "x.yml") == {"a": 5, "b": 2, "c": 3}


def test_replace_takes_the_place_of_an_inherited_mapping(tmp_path: Path) -> None:
    put(
        tmp_path,
        base="scheduler: {type: MultiStepLR, milestones: [1], gamma: 0.5}\n",
        mine="_base_: base.yml\nscheduler: {_replace_: true, type: CosineAnnealingRestartLR, periods: [9]}\n",
    )
    assert load_options(tmp_path / "mine.yml") == {"scheduler": {"type": "CosineAnnealingRestartLR", "periods": [9]}}


def test_null_removes_and_a_mapping_may_take_its_place() -> None:
    assert merge({"a": {"b": 1}}, {"a": None}) == {"a": None}
    assert merge({"a": None}, {"a": {"b": 1}}) == {"a": {"b": 1}}


def test_circle_is_reported_with_its_members(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    put(tmp_path, a="_base_: b.yml\n", b="_base_: c.yml\n", c="_base_: [b.yml]\n")
    with pytest.raises(OptionError, match=r"in a circle: b\.yml -> c\.yml -> b\.yml"):
        load_options("a.yml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x: 1\n_base_: other.yml\n", r"a\.yml:2: _base_ names other\.yml, but there is no file other\.yml"),
        ("_base_: 3\n", r"a\.yml:1: _base_ must be a file name or a list of file names; got 3"),
        ("", r"a\.yml: the file is empty"),
        ("- 1\n", r"a\.yml: the file is not a mapping"),
    ],
)
def test_unusable_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, message: str) -> None:
    monkeypatch.chdir(tmp_path)
    put(tmp_path, a=text)
    with pytest.raises(OptionError, match=message):
        load_options("a.yml")


def test_missing_file() -> None:
    with pytest.raises(OptionError, match=r"nowhere\.yml"):
        load_options("nowhere.yml")


def test_lines_tell_which_file_had_the_last_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    put(tmp_path, base="train:\n  lr: 1\n  gamma: 2\n", mine="_base_: base.yml\ntrain:\n  lr: 3\n")
    lines = load_with_lines("mine.yml").lines
    assert lines["train.lr"] == "mine.yml:3"
    assert lines["train.gamma"] == "base.yml:3"


# ----------------------------------------------------------------------------------------------- overrides


def test_overrides_are_parsed_as_yaml(tmp_path: Path) -> None:
    put(tmp_path, a="train: {optim_g: {lr: 1}, scheduler: {milestones: [1]}}\nname: x\n")
    loaded = load_with_lines(tmp_path / "a.yml")
    entries = ["train:optim_g:lr=2e-4", "train:scheduler:milestones=[5, 6]", "train:ema_decay=0.9", "name=a=b", "v=~"]
    apply_overrides(loaded, entries)
    assert loaded.options == {
        "train": {"optim_g": {"lr": 2e-4}, "scheduler": {"milestones": [5, 6]}, "ema_decay": 0.9},
        "name": "a=b",
        "v": None,
    }
    assert loaded.lines["train.optim_g.lr"] == "--force_yml train:optim_g:lr=2e-4"


def test_all_overrides_that_do_not_fit_are_told_at_once(tmp_path: Path) -> None:
    put(tmp_path, a="train: {optim_g: {lr: 1}}\n")
    loaded = load_with_lines(tmp_path / "a.yml")
    code = "__import__('os').system('true')"
    entries = ["train:optim:lr=1", "train", "train:optim_g:lr:x=1", "name=!!python/name:os.getcwd", f"x={code}"]
    with pytest.raises(OptionError) as caught:
        apply_overrides(loaded, entries)
    lines = str(caught.value).splitlines()
    assert len(lines) == 4
    assert "there is no section optim; did you mean 'optim_g'?" in lines[0]
    assert "must look like train:ema_decay=0.999" in lines[1]
    assert "train.optim_g.lr is not a mapping" in lines[2]
    assert "is refused" in lines[3]
    assert loaded.options["x"] == code  # text, never run


# ---------------------------------------------------------------------------------------------- kept options


def test_saved_options_can_be_loaded_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["basicsr/train.py", "-opt", "my file.yml"])
    options = {"name": "x", "train": {"lr": 1e-7, "betas": [0.9, 0.99], "none": None, "text": "1e-4"}, "a": 1}
    save_options(options, tmp_path / "kept.yml", "PRISM-SR 0")
    assert load_options(tmp_path / "kept.yml") == options
    header = (tmp_path / "kept.yml").read_text().splitlines()[:3]
    assert header[1].endswith("basicsr/train.py -opt 'my file.yml'")
    assert header[2] == "# PRISM-SR 0"
    assert [path.name for path in tmp_path.iterdir()] == ["kept.yml"]
