"""CSV files: what is written comes back, and a line that a kill cut is left out."""

import csv

from prismsr.utils.csv_files import append_rows, parse_finished, prepare_to_append, read_rows, write_rows


def test_what_is_written_comes_back_byte_for_byte(tmp_path):
    path = tmp_path / "new" / "scores.csv"
    write_rows(path, ["image", "value"], [["a, b.png", 0.5], ["\udcff.png", 1]])
    append_rows(path, [['say "c"', 2]])
    assert path.read_bytes() == b'image,value\n"a, b.png",0.5\n\xff.png,1\n"say ""c""",2\n'
    assert read_rows(path) == [["image", "value"], ["a, b.png", "0.5"], ["\udcff.png", "1"], ['say "c"', "2"]]


RUN = ["=1+1", "+a.png", "-a.png", "@SUM(A1)", "\tx", "=cmd|' /C calc'!A0", "'=1", "''-a", "-", "+1-2"]
PLAIN = ["-0.5", "+1", "-inf", "'quoted'", "a=b", "", "'", "it's", 0.25, -3]


def test_cells_that_a_spreadsheet_would_run_are_text_there_and_come_back(tmp_path):
    path = tmp_path / "scores.csv"
    write_rows(path, ["image"], [[cell] for cell in RUN + PLAIN])
    append_rows(path, [RUN])
    with path.open(newline="") as file:
        written = list(csv.reader(file))
    assert all(row[0][0] == "'" for row in written[1 : len(RUN) + 1])
    assert [row[0] for row in written[len(RUN) + 1 : -1] if row] == [str(cell) for cell in PLAIN]
    expected = [[str(cell)] for cell in RUN + PLAIN]
    assert read_rows(path) == [["image"], *expected, RUN] == parse_finished(path.read_bytes().decode())


def test_a_line_that_was_cut_is_left_out_and_then_cut_off(tmp_path):
    path = tmp_path / "log.csv"
    prepare_to_append(path, ["iter", "loss"])
    append_rows(path, [[10, 0.25]])
    whole = path.read_bytes()
    path.write_bytes(whole + b"20,0.1")
    assert parse_finished(path.read_text())[1:] == [["10", "0.25"]]
    prepare_to_append(path, ["iter", "loss"])
    assert path.read_bytes() == whole
    assert parse_finished("iter") == []
