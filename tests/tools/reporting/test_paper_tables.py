import json
from dataclasses import asdict

from prismsr.tools.reproduction.cells import Cell

import numpy as np
from report_case import decode, make_page, write_image


def write_paper_table(folder):
    """ssl-1.json as tools/reproduce.py writes it."""
    about = [
        ("ssl-1", "Set5", "ESRGAN+SSL", "PSNR", "higher", 30.0, 30.05, 0.1, "done"),
        ("ssl-1", "Set5", "ESRGAN+SSL", "LPIPS", "lower", 0.07, 0.1, 0.01, "done"),
        ("ssl-1", "Set14", "ESRGAN+SSL", "PSNR", "higher", 26.0, None, 0.1, "missing", ("get <Set14>",)),
    ]
    cells = [Cell(*values) for values in about]
    cells = [{**asdict(one), "difference": one.difference, "verdict": one.verdict} for one in cells]
    column = {"settings": "Y", "version": "v", "weights": "cd" * 32, "device": "cpu", "count": 5, "value": 30.05}
    made = {"method": "ESRGAN+SSL", "dataset": "Set5", "columns": {"PSNR": column}}
    folder.mkdir(parents=True)
    content = {"table": "ssl-1", "title": "SSL", "cells": cells, "results": [made]}
    (folder / "ssl-1.json").write_text(json.dumps(content))
    write_image(folder / "plots" / "ssl-1_plane.png", np.zeros((4, 6, 3)))


def test_tables_of_papers(tmp_path):
    write_paper_table(tmp_path / "results" / "deep")
    (tmp_path / "results" / "other.json").write_text("[1]")
    (tmp_path / "results" / "ssl-2.json").write_text('{"table": "ssl-2", "cells": [{}]}')
    page = make_page(tmp_path)
    assert page.cells(0) == [
        ["method", "PSNR ↑", "LPIPS ↓", "here"],
        ["ESRGAN+SSL", "30.00 30.05 +0.05 ✓", "0.0700 0.1000 +0.0300 ✗", "done"],
    ]
    assert page.cells(1) == [["method", "PSNR ↑", "here"], ["ESRGAN+SSL", "26.00", "missing"]]
    assert len(page.find("td", **{"class": "worse"})) == len(page.find("td", **{"class": "ours"})) == 1
    assert page.tables[0][1][1][2] == "Y; v; weights cdcdcdcdcdcd; device cpu; 5 images"
    assert page.tables[1][1][1][2] == "get <Set14>"
    assert [("open" in found) for found in page.find("details")] == [True, False, False]
    assert "2 of 3 figures" in page.text and "get <Set14> [1]" in page.text
    assert decode(page.find("img")[0]["src"]).shape == (4, 6, 3)
    assert f"{tmp_path / 'results' / 'ssl-2.json'}: " in page.text and "other.json" not in page.text
