from prismsr.data.multi_gt.labels import read_labels

import multi_gt_case as case
import pytest


@pytest.fixture
def step(prepare_tool):
    return lambda *arguments: prepare_tool.main(["labels", *(str(argument) for argument in arguments)])


def test_csv_of_the_majority(step, tmp_path, capsys):
    case.write_labels(tmp_path / "labels")
    assert step("-i", tmp_path / "labels", "-o", tmp_path / "out/labels.csv") == 0
    text = (tmp_path / "out/labels.csv").read_text(encoding="utf8").splitlines()
    assert text[0] == "name,version,label,votes" and len(text) == 17
    for line in text[1:]:
        name, version, label, votes = line.split(",")
        assert case.LABELS[name][int(version) - 1] == f"{label} {votes}"
    assert read_labels(tmp_path / "out/labels.csv") == read_labels(tmp_path / "labels")
    assert "4 groups, 16 versions" in (said := capsys.readouterr().out)
    assert "6 Positive (37.50%), 7 Similar (43.75%), 3 Negative (18.75%)" in said


def test_what_is_there_is_kept_unless_told(step, tmp_path, capsys):
    case.write_labels(tmp_path / "labels", case.NAMES[:1])
    (tmp_path / "labels.csv").write_text("mine")
    assert step("-i", tmp_path / "labels", "-o", tmp_path / "labels.csv") == 2
    assert "add --overwrite" in capsys.readouterr().err
    assert (tmp_path / "labels.csv").read_text() == "mine"
    assert step("-i", tmp_path / "labels", "-o", tmp_path / "labels.csv", "--overwrite") == 0
    assert (tmp_path / "labels.csv").read_text().startswith("name,")


def test_wrong_arguments_and_bad_files(step, tmp_path, capsys):
    assert step("-i", tmp_path / "none", "-o", tmp_path / "x.csv") == 2
    assert "no such folder" in capsys.readouterr().err
    assert step("-i", tmp_path, "-o", tmp_path) == 2
    assert "give the name of the CSV file" in capsys.readouterr().err
    (tmp_path / "A").mkdir()
    (tmp_path / "A" / "x.json").write_text('{"Picture_2": {"Name": "x_01", "Label": "Fine"}}')
    assert step("-i", tmp_path, "-o", tmp_path / "x.csv") == 1
    assert "x.json: Picture_2: the label is 'Fine'" in capsys.readouterr().err
    assert not (tmp_path / "x.csv").exists()
