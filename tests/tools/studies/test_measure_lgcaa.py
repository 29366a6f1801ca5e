"""The table that docs/papers/lgcaa.md quotes."""

from prismsr.tools.studies import measure_lgcaa

import pytest


def test_table_of_variations(capsys):
    tool = measure_lgcaa
    assert tool.main(["--tokens", "128", "--channels", "64", "--heads", "2"]) == 0
    rows = [line.split("|")[1:-1] for line in capsys.readouterr().out.splitlines() if line.startswith("| ")][1:]
    table = {row[0].strip(): [float(cell) for cell in row[1:]] for row in rows}
    assert list(table) == list(tool.ROWS)
    assert table["paper_literal"][0] > 0.999 and table["paper_literal"][-1] < 1e-10
    assert table["default"][0] < 0.99 and table["default"][-1] > 0.4
    assert all(row[1] == pytest.approx(0.8, abs=0.05) for row in table.values())
