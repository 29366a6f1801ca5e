"""Arguments against signatures: names, requirements, and values that plainly do not fit."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from prismsr.utils.options.entries import SUPPLIED, find_registered, registered_names
from prismsr.utils.options.schema import WandbOptions
from prismsr.utils.options.signatures import Section, arguments_of, check_arguments

import pytest
import torch
from pydantic import Field
from torch import Tensor


class Annotated_:  # noqa: N801
    """A class of ours, as far as the module name goes."""

    def __init__(self, size: int, mode: Literal["a", "b"] = "a", betas: tuple[float, float] = (0.9, 0.99)) -> None: ...


def by_default(x, flag=True, number=1, text="y", values=(0.1, 0.2), free=None):  # type: ignore[no-untyped-def]
    """Like BasicSR's, without annotations."""


def forwards(first: int, **kwargs: Any) -> None:
    """Passes `kwargs` on to something."""


def messages(target: Any, given: dict[str, Any], **options: Any) -> list[str]:
    return [f"{problem.key}: {problem.message}" for problem in check_arguments(target, given, "net", **options)]


def test_names() -> None:
    assert messages(Annotated_, {"size": 1}) == []
    assert messages(Annotated_, {"siz": 1}) == [
        "net.size: is required by Annotated_",
        "net.siz: unknown argument of Annotated_; did you mean 'size'?",
    ]
    assert messages(by_default, {}, supplied=("x",)) == []


def test_values_by_annotation() -> None:
    given = {"size": 2.5, "mode": "c", "betas": [0.9]}
    assert messages(Annotated_, given) == [
        "net.size: must be a whole number; got 2.5",
        "net.mode: must be one of 'a', 'b'; got the text 'c'",
        "net.betas: must be a list of 2 numbers; got [0.9]",
    ]


def test_values_by_default() -> None:
    bad = {"flag": 1, "number": "2", "text": 3, "values": [True], "x": object()}
    assert [line.split(":")[0] for line in messages(by_default, bad)] == [
        "net.flag",
        "net.number",
        "net.text",
        "net.values.0",
    ]
    good = {"flag": False, "number": 0.5, "text": None, "values": [1, 2.5, 3], "free": "anything", "x": 1}
    assert messages(by_default, good) == []


def test_hints_for_what_has_no_annotation() -> None:
    def function(crop_border): ...  # type: ignore[no-untyped-def]

    assert messages(function, {"crop_border": 4}) == []
    assert messages(function, {"crop_border": 4.5}) == ["net.crop_border: must be a whole number; got 4.5"]


def test_further_keywords_are_left_alone_unless_they_look_misspelt() -> None:
    assert messages(forwards, {"first": 1, "entirely_else": 2}) == []
    assert messages(forwards, {"first": 1, "frist": 2}) == [
        "net.frist: unknown argument of forwards; did you mean 'first'?"
    ]


def test_keywords_that_basicsr_only_swallows_are_unknown() -> None:
    from basicsr.metrics import calculate_psnr

    found = messages(calculate_psnr, {"crop_border": 4, "whatever": 1}, supplied=("img", "img2"))
    assert found == [
        "net.whatever: unknown argument of calculate_psnr; known: crop_border, input_order, test_y_channel"
    ]


@pytest.mark.parametrize(
    ("value", "hint", "wanted"),
    [
        (True, int, "a whole number"),
        (1.0, int, "a whole number"),
        (1, float, None),
        (True, float, "a number"),
        (1, bool, "true or false"),
        (1, float | Tensor, None),
        ("x", float | Tensor, "a number"),
        ("x", float | Tensor | None, "a number or null"),
        (None, torch.device | None, None),
        ("cpu", torch.device | None, None),
        ("a/b", Path, None),
        (1, Path, "text"),
        ([1, 2], tuple[int, ...], None),
        ([1, 2], Sequence[int], None),
        ("12", Sequence[int], "a list of whole numbers"),
        ([1, 2.5], list[int], "a whole number"),
        ([[1], 2], list[list[int]], "a list of whole numbers"),
        ([1, 2], tuple[float, Tensor], None),
        ([1], tuple[float | Tensor, float], "a list of 2 numbers"),
        ({"a": 1}, dict[str, float], None),
        ({"a": "1"}, Mapping[str, float], "a number"),
        ([], Mapping[str, float], "a mapping to numbers"),
        (None, int | None, None),
        ([1], int | str, "a whole number or text"),
        (True, Literal[1, 2], "one of 1, 2"),
        (-1, Annotated[int, Field(ge=0)], "a whole number of at least 0"),
        (3, Annotated[int, "pixels"], None),
        ("x", Any, None),
    ],
)
def test_a_value_and_an_annotation(value: Any, hint: Any, wanted: str | None) -> None:
    def function(x): ...  # type: ignore[no-untyped-def]

    function.__annotations__ = {"x": hint}
    told = [line.partition(": must be ")[2].partition(";")[0] for line in messages(function, {"x": value})]
    assert told == ([] if wanted is None else [wanted])


def test_nested_arguments_with_a_known_schema_are_followed() -> None:
    Nested = Annotated[dict[str, Any] | None, Section(Annotated_)]  # noqa: N806

    def function(x: Nested = None, y: WandbOptions | None = None) -> None: ...  # type: ignore[valid-type]

    assert messages(function, {"x": None, "y": None}) == []
    assert messages(function, {"x": {"size": 3, "betas": [0.5, 1]}, "y": {"project": "x"}}) == []
    found = messages(function, {"x": {"siz": True, "mode": "c"}, "y": {"projct": "x"}})
    assert [line.partition(": ")[0] for line in found] == ["net.x.size", "net.x.mode", "net.x.siz", "net.y.projct"]
    assert "unknown argument of Annotated_; did you mean 'size'?" in found[2]
    assert "unknown key; did you mean 'project'?" in found[3]


def test_arguments_named_as_parts_of_pydantic() -> None:
    def function(copy: int, model_fields: int = 1, _hidden: int = 2) -> None: ...

    assert messages(function, {"copy": 1, "model_fields": 2, "_hidden": 3}) == []
    found = messages(function, {"copy": "1", "argument_copy": 1})
    assert [line.partition(":")[0] for line in found] == ["net.copy", "net.argument_copy"]


def test_every_registered_name_becomes_a_schema() -> None:
    for kind in ("arch", "loss", "metric", "optimizer", "scheduler"):
        for name in registered_names(kind):
            assert arguments_of(find_registered(kind, name), SUPPLIED.get(kind, ())).model_json_schema(), name
