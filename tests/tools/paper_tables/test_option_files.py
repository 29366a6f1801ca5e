"""The lists of option files are what the tables' YAML files say today."""

from prismsr.tools.paper_tables.option_files import FOLDERS, find_rows, format_readme, read_purpose

import pytest


@pytest.mark.parametrize("folder", FOLDERS)
def test_committed_lists_are_up_to_date(repository, folder):
    assert (repository / "options" / folder / "README.md").read_text(encoding="utf8") == format_readme(folder)


def test_rows_by_option_file():
    rows = {"A": {"options": "a.yml"}, "B": {"options": {"Set5": "a.yml", "Set14": "b.yml"}}, "C": {"metric": "niqe"}}
    tables = {"t-1": {"rows": rows}, "t-2": {"rows": {}, "extra": {"A, 30 steps": {"options": "a.yml"}}}}
    assert find_rows(tables) == {
        "a.yml": ["`t-1` A", "`t-1` B, Set5", "`t-2` A, 30 steps"],
        "b.yml": ["`t-1` B, Set14"],
    }


def test_purpose_is_the_comments_first_sentence(tmp_path):
    file = tmp_path / "x.yml"
    file.write_text("# yaml-language-server: $schema=x.json\n# Weight 0.1 of a term\n# (figure 8). More.\na: 1\n# no\n")
    assert read_purpose(file) == "Weight 0.1 of a term (figure 8)"
