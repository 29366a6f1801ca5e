from prismsr.utils.tables import markdown_table

import pytest


def test_columns_are_padded_and_aligned():
    assert markdown_table(["image", "PSNR"], [["baby", 33.1], ["lighthouse", 8]], "lr").split("\n") == [
        "| image      | PSNR |",
        "|------------|-----:|",
        "| baby       | 33.1 |",
        "| lighthouse |    8 |",
    ]
    assert markdown_table(["a"], []) == "| a |\n|---|"


def test_a_cell_stays_in_its_cell():
    assert markdown_table(["a"], [["x|y\nz"]]).split("\n")[2] == r"| x\|y z |"


@pytest.mark.parametrize(("rows", "align"), [([["1"]], ""), ([["1", "2", "3"]], ""), ([["1", "2"]], "l")])
def test_rows_of_another_length_are_refused(rows, align):
    with pytest.raises(ValueError, match="zip"):
        markdown_table(["a", "b"], rows, align)
