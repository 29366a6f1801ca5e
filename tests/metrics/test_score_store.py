from prismsr.metrics.score_store import COLUMNS, OLD_COLUMNS, ScoreStore, make_score_key, read_file_state
from prismsr.utils.errors import OptionError

import pytest

KEYS = [("a, b/\u00e4", "", "1:2", make_score_key("niqe", {"crop_border": border}, "1", "ab")) for border in (0, 4)]


@pytest.fixture
def store(tmp_path):
    return ScoreStore(tmp_path / "out" / "scores.csv")


def test_what_is_written_is_read_by_the_next_run(store):
    assert store.read() == {}
    store.append([(KEYS[0], 1 / 3)])
    store.append([])
    store.append([(KEYS[1], float("inf")), (KEYS[0], 0.5)])
    assert ScoreStore(store.path).read() == {KEYS[0]: 0.5, KEYS[1]: float("inf")}
    assert store.path.read_bytes().count(b"\r") == 0


def test_a_line_that_was_cut_off_is_made_again(store):
    store.append([(KEYS[0], 1.25), (KEYS[1], 2.5)])
    store.path.write_bytes(store.path.read_bytes()[:-12])
    again = ScoreStore(store.path)
    assert again.read() == {KEYS[0]: 1.25}
    again.append([(KEYS[1], 3.5)])
    assert ScoreStore(store.path).read() == {KEYS[0]: 1.25, KEYS[1]: 3.5}


def test_other_files_are_left_alone_and_old_ones_moved(store, capsys):
    store.append([(KEYS[0], 1.0)])
    store.path.write_text("name,score\n")
    with pytest.raises(OptionError, match="other columns"):
        store.read()
    store.path.write_text(",".join(OLD_COLUMNS) + "\na.png,1,2,niqe,{},3.0\n")
    assert store.read() == {}
    assert capsys.readouterr().err.count("\n") == 1
    assert not store.path.exists() and store.path.with_name("scores.csv.old").is_file()
    store.append([(KEYS[0], 1.0)])
    assert store.path.read_text().startswith(",".join(COLUMNS))


def test_a_file_that_changes_has_another_state(tmp_path):
    assert read_file_state(tmp_path / "a") == "missing"
    (tmp_path / "a").write_text("x")
    before = read_file_state(tmp_path / "a")
    (tmp_path / "a").write_text("xy")
    assert before != read_file_state(tmp_path / "a") != "missing"
