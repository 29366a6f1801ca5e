from prismsr.tools import report
from prismsr.tools.reporting.build import write_report
from prismsr.utils.errors import OptionError

import pytest


def test_nothing_to_show(tmp_path, capsys):
    for folder in (tmp_path / "none", tmp_path):
        assert report.main([str(folder)]) == 2
        assert str(folder) in capsys.readouterr().err
    with pytest.raises(OptionError, match=str(tmp_path)):
        write_report(tmp_path, tmp_path / "page.html", "t")
    assert list(tmp_path.iterdir()) == []


def test_a_page_that_cannot_be_written(tree):
    (tree / "file").write_text("")
    assert report.main([str(tree / "results"), "-o", str(tree / "file" / "page.html")]) == 1
