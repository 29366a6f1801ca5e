"""Arguments against signatures: names, requirements, and values that plainly do not fit."""

from pathlib import Path
from typing import Annotated, Any, Literal

from prismsr.utils.options.signatures import check_arguments, describe, matches

import pytest
import torch
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
        "net.siz: unknown argument of Annotated_; did you mean 'size'?",
        "net.size: is required by Annotated_",
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
        "net.values",
    ]
    good = {"flag": False, "number": 0.5, "text": None, "values": [1, 2.5, 3], "free": "anything", "x": 1}
    assert messages(by_default, good) == []


def test_hints_for_what_has_no_annotation() -> None:
    known = {"text": Literal["y", "gray"]}
    assert messages(by_default, {"x": 1, "text": "y"}, known=known) == []
    assert messages(by_default, {"x": 1, "text": "Y"}, known=known) == [
        "net.text: must be one of 'y', 'gray'; got the text 'Y'"
    ]


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
    ("value", "hint", "fits"),
    [
        (True, int, False),
        (1, float, True),
        (1, float | Tensor, True),
        ("x", float | Tensor, False),
        (None, torch.device | None, True),
        ("cpu", torch.device | None, True),
        ("a/b", Path, True),
        ([1, 2], tuple[int, ...], True),
        ([1, 2.5], list[int], False),
        ({"a": 1}, dict[str, float], True),
        ({"a": "1"}, dict[str, float], False),
        (None, int | None, True),
        (1, Literal[True], False),
        (3, Annotated[int, "pixels"], True),
        ("x", Any, True),
    ],
)
def test_matches(value: Any, hint: Any, fits: bool) -> None:
    assert matches(value, hint) is fits


def test_describe() -> None:
    assert describe(float | Tensor | None) == "a number or null"
    assert describe(dict[str, float]) == "a mapping to numbers"
    assert describe(list[list[int]]) == "a list of entries that are each a list of whole numbers"
    assert describe(tuple[float | Tensor, float | Tensor]) == "a list of 2 numbers"
