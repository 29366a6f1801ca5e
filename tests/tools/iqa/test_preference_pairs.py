"""Pairs from a CSV, in both forms, and what is said of those that cannot be used."""

from pathlib import Path

from prismsr.tools.iqa.preference_pairs import PairsError, read_pairs

import pytest


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("a.png", "b.png", "sub/c.png"):
        path = tmp_path / "set" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path / "set"


def write(root: Path, *lines: str) -> Path:
    path = root.parent / "pairs.csv"
    path.write_text("\n".join(lines), encoding="utf-8-sig")
    return path


def test_choices(root: Path) -> None:
    path = write(
        root, "Left, right,method,CHOICE", "a.png,b.png,x,left", "b.png, sub\\c.png,y,Right", "", "a.png,a.png,z,tie"
    )
    pairs = read_pairs(path, root)
    assert pairs.left == ["a.png", "b.png", "a.png"]
    assert pairs.right == ["b.png", "sub/c.png", "a.png"]
    assert pairs.choices.tolist() == [1, -1, 0]
    assert pairs.list_names() == ["a.png", "b.png", "sub/c.png"]


def test_votes(root: Path) -> None:
    path = write(root, "right,left,right_votes,left_votes", "a.png,b.png,3,2", "a.png,b.png,1,4", "b.png,a.png,2.0,2")
    pairs = read_pairs(path, root)
    assert pairs.left == ["b.png", "b.png", "a.png"]
    assert pairs.choices.tolist() == [-1, 1, 0]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "pairs.csv"),
        (["left,right,choice"], "pairs.csv"),
        (["left,right", "a.png,b.png"], "left_votes or right_votes among left, right"),
        (["left,choice", "a.png,left"], "right among left, choice"),
        (["left,right,choice", "a.png,b.png"], "row 2"),
        (["left,right,choice", "a.png,b.png,1"], "row 2: .*'1'.*left, tie, right"),
        (["left,right,choice", "a.png,b.png,tie", "a.png,d.png,tie"], "row 3: .*d.png"),
        (["left,right,left_votes,right_votes", "a.png,b.png,2,"], "row 2: votes"),
        (["left,right,left_votes,right_votes", "a.png,b.png,2,-1"], "row 2: votes .* -1"),
        (["left,right,left_votes,right_votes", "a.png,b.png,nan,1"], "row 2: votes .* nan"),
    ],
)
def test_files_that_cannot_be_used(root: Path, lines: list[str], message: str) -> None:
    with pytest.raises(PairsError, match=message):
        read_pairs(write(root, *lines), root)


def test_no_file(root: Path) -> None:
    with pytest.raises(PairsError, match=r"none\.csv"):
        read_pairs(root / "none.csv", root)
