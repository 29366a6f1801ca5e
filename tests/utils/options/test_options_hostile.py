"""Option files that would fill the memory or never end are refused within a second, by a line that names them."""

import time

from prismsr.utils.errors import OptionError
from prismsr.utils.options.files import LoadedOptions, apply_overrides, load_options
from prismsr.utils.options.schema import TopOptions
from prismsr.utils.options.validation import validate_section
from prismsr.utils.options.yaml_loader import MAX_VALUES, read_yaml

import pytest


def bomb(levels=9, width=9):
    lines = ["a0: &a0 [" + ", ".join("x" * width) + "]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * width)}]" for n in range(1, levels)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    "text",
    [bomb(), bomb().replace("[", "{<<: [").replace("]", "]}"), "a: " + "[" * 3000 + "]" * 3000, "a: " + "9" * 5000],
    ids=["aliases", "merges", "nesting", "number"],
)
def test_bombs_end_with_a_line(text, tmp_path):
    (tmp_path / "bomb.yml").write_text(text)
    start = time.process_time()
    with pytest.raises(OptionError, match=r"bomb\.yml"):
        load_options(tmp_path / "bomb.yml")
    assert time.process_time() - start < 5  # of the processor: about 1 s, for ever without the bound


def test_bases_named_twice_are_read_once(tmp_path):
    (tmp_path / "0.yml").write_text("a: 1")
    for level in range(1, 30):
        (tmp_path / f"{level}.yml").write_text(f"_base_: [{level - 1}.yml, {level - 1}.yml]\nb{level}: 2")
    assert len(load_options(tmp_path / "29.yml")) == 30


def test_as_many_values_as_allowed():
    read_yaml("a: [" + "1, " * (MAX_VALUES - 4) + "1]", "x")
    with pytest.raises(OptionError, match=r"x:1: a\[\d+\]"):
        read_yaml("a: [" + "1, " * MAX_VALUES + "1]", "x")


@pytest.mark.parametrize("text", ["12:30", "1:30:00", "2026-11-28"])
def test_times_and_dates_are_text(text):
    assert read_yaml(text, "x")[0] == text


@pytest.mark.parametrize(
    ("text", "value"), [("12", 12), ("-3", -3), ("0x1F", 31), ("1_000", 1000), ("0b11", 3), ("0", 0)]
)
def test_whole_numbers(text, value):
    assert read_yaml(text, "x")[0] == value


@pytest.mark.parametrize("name", [".", "..", "x" * 201, "ü" * 101, "a/b"])
def test_names_that_are_no_folder_of_their_own(name):
    keys = [problem.key for problem in validate_section(TopOptions, {"name": name}, "", is_train=False)]
    assert "name" in keys
    good = validate_section(TopOptions, {"name": "x" * 200}, "", is_train=False)
    assert "name" not in [problem.key for problem in good]


def test_overrides_make_sections_but_not_of_typos():
    loaded = LoadedOptions({"train": {"total_iter": 3}})
    apply_overrides(loaded, ["val:metrics:psnr:crop_border=4", "train:ema_decay=0.9"])
    assert loaded.options["val"] == {"metrics": {"psnr": {"crop_border": 4}}}
    with pytest.raises(OptionError, match="'train'"):
        apply_overrides(loaded, ["trian:ema_decay=0.9"])
    assert "trian" not in loaded.options
