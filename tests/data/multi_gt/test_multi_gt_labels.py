import json
from itertools import product

from prismsr.data.multi_gt.labels import Label, decide_label, read_labels, write_labels
from prismsr.utils.errors import DataError

import pytest

P, S, N = "Positive", "Similar", "Negative"


def _hggt(name, labels, **changes):
    """A JSON as HGGT's: the original first, then 01..04."""
    content = {"Picture_1": {"Name": f"{name}.png", "File": f"original/{name}.png", "Label": None}}
    for number, label in enumerate(labels, 1):
        version = f"{name}_{number:02d}.png"
        content[f"Picture_{number + 1}"] = {"Name": version, "File": f"{number:02d}/{version}", "Label": label}
    return {**content, "Time_cost": {"Start": "1", "End": "2", "Total seconds": 1}, **changes}


def _write(root, annotator, name, content):
    path = root / annotator / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


# ------------------------------------------------------------------------------------------------ the rule


def test_three_votes_as_in_hggt():
    """All 27 cases, with HGGT's rule in its own words."""
    for votes in product((P, S, N), repeat=3):
        if len(set(votes)) == 3:
            expected = ("Similar", 1)
        else:
            expected = next((label, votes.count(label)) for label in votes if votes.count(label) >= 2)
        assert decide_label(votes) == expected


@pytest.mark.parametrize(
    ("votes", "expected"),
    [
        ([P], (P, 1)),
        ([N], (N, 1)),
        ([P, P], (P, 2)),
        ([P, N], (S, 1)),
        ([P, S], (S, 1)),
        ([P, P, N, N], (S, 1)),
        ([P, P, N, S], (P, 2)),
        ([N] * 5, (N, 5)),
    ],
)
def test_other_numbers_of_annotators(votes, expected):
    assert decide_label(votes) == decide_label(votes[::-1]) == expected


def test_no_votes_at_all():
    with pytest.raises(ValueError, match="no votes"):
        decide_label([])


# ------------------------------------------------------------------------------------------------ JSON


def test_majority_of_three_annotators(tmp_path):
    name = "0001-288-0"
    for annotator, labels in {"A": [P, P, S, N], "B": [P, S, S, N], "C": [N, N, S, P]}.items():
        _write(tmp_path, annotator, name, _hggt(name, labels))
    assert read_labels(tmp_path) == {name: {"01": (P, 2), "02": (S, 1), "03": (S, 3), "04": (N, 2)}}


def test_missing_annotator_and_missing_picture(tmp_path):
    for name, labels in {"two": [[P, P, N, S], [P, N, N, P]], "one": [[P, S, N, N]]}.items():
        for annotator, given in zip("AB", labels, strict=False):
            _write(tmp_path, annotator, name, _hggt(name, given))
    content = _hggt("few", [P, N, N, N])
    del content["Picture_3"], content["Picture_1"], content["Picture_4"]["Label"]
    _write(tmp_path, "C", "few", content)
    (tmp_path / "notes.txt").write_text("not an annotator")
    assert read_labels(tmp_path) == {
        "two": {"01": (P, 2), "02": (S, 1), "03": (N, 2), "04": (S, 1)},
        "one": {"01": (P, 1), "02": (S, 1), "03": (N, 1), "04": (N, 1)},
        "few": {"01": (P, 1), "04": (N, 1)},
    }


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("{group}_{version}.png", "whatever"),
        ("{group}_{version}", None),
        ("{group}_{version}.PNG", "E:\\hggt\\tagging\\{group}.png"),
        ("{group}.png", "E:\\hggt\\{version}\\{group}.png"),
        ("{version}/{group}.png", None),
        (None, "/data/{version}/{group}_{version}.jpg"),
    ],
)
@pytest.mark.parametrize("group", ["0001-1-2", "a.b_c-1", "0001_01"])
def test_version_by_name_or_folder_in_any_order(tmp_path, group, name, file):
    content = {"Picture_3": {"Name": group, "File": f"x/{group}.png", "Label": None}}
    content = {"Picture_1": content.pop("Picture_3")}  # some folder of the original's, which must not count
    for number, (version, label) in enumerate({"sharp": P, "02": N, "01": S}.items(), 2):
        texts = [text and text.format(group=group, version=version) for text in (name, file)]
        content[f"Picture_{number}"] = {"Name": texts[0], "File": texts[1], "Label": label}
    _write(tmp_path, "A", group, content)
    assert read_labels(tmp_path) == {group: {"sharp": (P, 1), "02": (N, 1), "01": (S, 1)}}


def test_version_by_number_where_nothing_else_tells_it(tmp_path):
    content = {f"Picture_{n}": {"Name": f"img{n}", "File": "", "Label": [None, P, S, N][n - 1]} for n in range(1, 5)}
    _write(tmp_path, "A", "x", content)
    assert read_labels(tmp_path)["x"] == {"01": (P, 1), "02": (S, 1), "03": (N, 1)}


def test_the_original_may_stand_elsewhere_and_labels_be_spelled_otherwise(tmp_path):
    content = {
        "Picture_1": {"Name": "x_02.png", "Label": " negative"},
        "Picture_2": {"Name": "x.png", "File": "Original/x.png", "Label": None},
        "Picture_3": {"Name": "x_01.png", "Label": "POSITIVE"},
    }
    _write(tmp_path, "A", "sub/x", content)
    assert read_labels(tmp_path) == {"sub/x": {"01": (P, 1), "02": (N, 1)}}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (_hggt("x", [P, "Bad", S, S]), r"x\.json: Picture_3: the label is 'Bad'; allowed: Positive, Similar, Negative"),
        (_hggt("x", [P, None, S, S]), r"x\.json: Picture_3: the label is None"),
        (_hggt("x", [P], Picture_4={"Name": "x_01", "Label": P}), r"x\.json: two pictures are the version 01 of x"),
        (_hggt("x", [P], Picture_4=None), r"x\.json: Picture_4 must be .* got None"),
        (_hggt("x", [P], Picture_b={}), r"x\.json: Picture_b must be Picture_NUMBER"),
        ({"Time_cost": 1}, r"x\.json: no Picture_1"),
        ([1], r"x\.json: no Picture_1"),
        ("{", r"x\.json: cannot be read as JSON"),
    ],
)
def test_bad_files_are_named(tmp_path, content, message):
    _write(tmp_path, "B", "x", content)
    with pytest.raises(DataError, match=message):
        read_labels(tmp_path)


def test_folders_without_annotators_are_told(tmp_path):
    with pytest.raises(DataError, match="none"):
        read_labels(tmp_path / "none")
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(DataError, match="JSON"):
        read_labels(tmp_path)
    for annotator in "ABC":
        _write(tmp_path / "labels" / "0-20193", annotator, "x", _hggt("x", [P]))
    with pytest.raises(DataError, match="0-20193"):
        read_labels(tmp_path / "labels")
    assert read_labels(tmp_path / "labels" / "0-20193") == {"x": {"01": (P, 3)}}


# ------------------------------------------------------------------------------------------------ CSV


def test_csv_gives_the_same(tmp_path):
    labels = {'a,"b"': {"01": Label(P, 3), "x y": Label(N, 1)}, "s/ü.1": {"01": Label(S, 2)}}
    assert write_labels(tmp_path / "labels.csv", labels) == 3
    assert read_labels(tmp_path / "labels.csv") == labels


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the first line must be name,version,label,votes"),
        ("name,label\n", "the first line must be"),
        ("name,version,label,votes\na,01,Positive\n", r"line 2: must be .* got a,01,Positive"),
        ("name,version,label,votes\na,01,Positive,0\n", r"line 2: must be .* votes of 1 or more"),
        ("name,version,label,votes\na,01,Good,2\n", r"line 2: the label is 'Good'"),
        ("name,version,label,votes\na,1,Similar,2\na,1,Similar,2\n", r"line 3: a has a second label of the version 1"),
    ],
)
def test_bad_csv_is_told(tmp_path, text, message):
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        read_labels(tmp_path / "labels.csv")
