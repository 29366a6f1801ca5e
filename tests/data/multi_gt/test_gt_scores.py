import math

from prismsr.data.multi_gt.score_file import ScoreFileError, ScoreHeader, ScoreWriter, read_scores
from prismsr.metrics.no_reference import build_nr_metric

import numpy as np
import pytest

HEADER = ScoreHeader("musiq", "pyiqa 0.1.16", "ab12", False, (0.0, 100.0))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "scores.csv"


def test_what_is_written_is_read(path):
    writer = ScoreWriter(path, HEADER)
    writer.add("0001-1-2", "original", 1 / 3)
    writer.add("a, b/ä", "01", 70.25)
    assert path.read_text(encoding="utf8").splitlines() == [
        "# metric=musiq version=pyiqa 0.1.16 weights=ab12 lower_better=false score_range=0,100",
        "name,version,score",
        f"0001-1-2,original,{1 / 3!r}",
        '"a, b/ä",01,70.25',
    ]
    table = read_scores(path)
    assert (table.header, table.metric, table.weights) == (HEADER, "musiq", "ab12")
    assert table.scores == {("0001-1-2", "original"): 1 / 3, ("a, b/ä", "01"): 70.25}


def test_quality_is_on_the_common_scale(path):
    writer = ScoreWriter(path, HEADER._replace(lower_better=True, score_range=(0.0, 20.0), metric="natural_scene"))
    for version, score in (("original", 5.0), ("01", 20.0), ("02", 0.0)):
        writer.add("x", version, score)
    quality = read_scores(path).find_quality("x", ["02", "original", "01"])
    np.testing.assert_allclose(quality, [100, 75, 0])
    with pytest.raises(ScoreFileError, match=r"scores\.csv.*03, 04"):
        read_scores(path).find_quality("x", ["01", "03", "04"])


def test_the_header_of_a_metric():
    metric = build_nr_metric("natural_scene", score_range=[0, 25])
    header = ScoreHeader.of(metric, {"score_range": [0, 25]})
    assert header[:2] == ("natural_scene", metric.version) and header.weights == metric.hash_weights()
    assert header[3:] == (True, (0.0, 25.0), "{}")
    other = HEADER._replace(options='{"longer_side_lengths": [224]}')
    for each in (header, other, HEADER._replace(weights="")):
        assert ScoreHeader.parse(each.line(), "x.csv") == each


def test_going_on(path):
    ScoreWriter(path, HEADER).add("x", "original", 5.0)
    with path.open("a") as file:
        file.write("x,01,12.")  # as if killed while writing
    assert read_scores(path).scores == {("x", "original"): 5.0}
    writer = ScoreWriter(path, HEADER)
    assert writer.done == {("x", "original")}
    writer.add("x", "01", 7.0)
    assert read_scores(path).scores == {("x", "original"): 5.0, ("x", "01"): 7.0}
    with pytest.raises(ScoreFileError, match=r"ab12.*cd34.*--overwrite"):
        ScoreWriter(path, HEADER._replace(weights="cd34"))
    assert ScoreWriter(path, HEADER._replace(weights="cd34"), overwrite=True).done == set()
    assert read_scores(path).scores == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,version,score\n", "first line does not tell the metric"),
        (f"{HEADER.line()}\nname,score\n", "line 2: the columns must be name,version,score"),
        (f"{HEADER.line()}\nname,version,score\nx,01,high\n", "line 3: 'x,01,high' is no name, version and finite"),
        (f"{HEADER.line()}\nname,version,score\nx,01,{math.nan}\n", "line 3"),
        (f"{HEADER.line()}\nname,version,score\nx,01\n", "line 3"),
        ("# metric=m version=1 weights= lower_better=false score_range=0,much\n", "does not tell the metric"),
    ],
)
def test_damaged_files(path, text, message):
    path.write_text(text)
    with pytest.raises(ScoreFileError, match=message):
        read_scores(path)


def test_no_file_and_no_text(path):
    with pytest.raises(ScoreFileError, match="cannot be read"):
        read_scores(path)
    path.write_bytes(b"\x89PNG\xff")
    with pytest.raises(ScoreFileError, match="no text"):
        read_scores(path)
