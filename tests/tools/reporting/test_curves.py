import re

from prismsr.models.training.curves import Curve, Panel
from prismsr.models.training.log import write_log
from prismsr.tools import report
from prismsr.tools.reporting.curves import draw_svg, read_experiments, thin

import numpy as np
import pytest
from report_case import Page, decode, make_page, write_image


def write_losses(folder, *values, name="l_pix"):
    folder.mkdir(parents=True)
    write_log(folder / "losses.csv", [{"iter": str(10 * n), name: value} for n, value in enumerate(values, start=1)])


def read_lines(svg, colour):
    """The points of the lines of a colour, scaled to [0, 1] in the plot."""
    clip = {name: float(value) for name, value in Page(svg).find("rect")[0].items()}
    paths = [found["d"] for found in Page(svg).find("path") if f"stroke: var(--c{colour})" in found["style"]]
    points = [re.findall(r"[ML] (\S+) (\S+)", path) for path in paths]
    return [
        [((float(x) - clip["x"]) / clip["width"], 1 - (float(y) - clip["y"]) / clip["height"]) for x, y in line]
        for line in points
        if line
    ]


def test_experiments_are_lines_of_one_diagram(tree):
    for name, last in (("one", "0.125"), ("two", "nan")):
        write_losses(tree / "runs" / name, "0.5", last)
    measured = [{"iter": "20", "dataset": "Set5", "metric": "psnr", "value": "28"}]
    write_log(tree / "runs" / "one" / "metrics.csv", measured)
    write_image(tree / "runs" / "three" / "losses.png", np.zeros((5, 5, 3)))
    page = make_page(tree, "--experiments", tree / "runs")
    assert [found["aria-label"] for found in page.find("div", role="img")] == ["psnr, Set5", "l_pix  [1 not finite]"]
    colours = [found["style"] for found in page.find("li") if "style" in found]
    assert colours == ["color: var(--c0)", "color: var(--c1)"]
    assert decode(page.find("img")[-1]["src"]).shape == (5, 5, 3)


def test_points_are_where_their_values_say():
    curve = Curve(np.array([10.0, 40.0, 50.0]), np.array([2.0, 3.0, 4.0]))
    (line,) = read_lines(draw_svg(Panel("t", {"one": curve}), {"one": 3}, "x"), 3)[:1]
    room = 0.05 / 1.1  # 5 % below and above, as matplotlib has it
    heights = [room, 0.5, 1 - room]
    assert line == [pytest.approx(point, abs=1e-5) for point in zip([10 / 51, 40 / 51, 50 / 51], heights, strict=True)]


def test_a_wide_range_is_logarithmic():
    curve = Curve(np.array([1.0, 2.0, 3.0]), np.array([1e-4, 1e-3, 1e-2]))
    svg = draw_svg(Panel("t", {"one": curve}), {"one": 0}, "x")
    assert read_lines(svg, 0)[0][1][1] == pytest.approx(0.5)
    assert {"0.0001", "0.001", "0.01"} <= set(Page(svg).words)


@pytest.mark.parametrize("values", [["5"], ["nan", "5"], ["1e300", "-1e299", "1"], ["0", "0"], ["1e-300", "1e299"]])
def test_unusual_numbers_are_drawn(tmp_path, values):
    write_losses(tmp_path / "one", *values)
    (panel,) = read_experiments([tmp_path / "one"], []).losses
    assert "NaN" not in draw_svg(panel, {"one": 0}, "x") and read_lines(draw_svg(panel, {"one": 0}, "x"), 0)


def test_what_cannot_be_drawn_is_told(tmp_path):
    write_losses(tmp_path / "one", "nan", "inf", "1e305")
    write_losses(tmp_path / "two", "0.5", "much")
    (tmp_path / "two" / "metrics.csv").write_text("iter,value\n1,2\n")
    (tmp_path / "three").mkdir()
    (tmp_path / "three" / "losses.csv").write_text("")
    problems = []
    (panel,) = read_experiments([tmp_path], problems).losses
    assert panel.caption == "l_pix  [3 not finite]" and not panel.finite.size
    told = [str(tmp_path / place) for place in ("three", "two/losses.csv", "two/metrics.csv")]
    assert [problem.partition(": ")[0] for problem in problems] == told


def test_a_diagram_without_a_value_says_so(tree):
    write_losses(tree / "runs" / "one", "nan")
    page = make_page(tree, "--experiments", tree / "runs")
    assert "no finite value" in page.text and not page.find("svg")


def test_two_experiments_of_one_name_are_two_lines(tmp_path):
    for folder in ("a", "b"):
        write_losses(tmp_path / folder / "one", "0.5", "0.25")
    curves = read_experiments([tmp_path / "a", tmp_path / "b"], [])
    assert curves.colours == {str(tmp_path / "a" / "one"): 0, str(tmp_path / "b" / "one"): 1}


def test_learning_rates_come_last_and_are_not_smoothed(tmp_path):
    write_losses(tmp_path / "one", "0.1", name="lr_0")
    write_losses(tmp_path / "two", "0.1")
    assert [(one.title, one.smooth) for one in read_experiments([tmp_path], []).losses] == [
        ("l_pix", True),
        ("learning rate", False),
    ]


def test_many_points_are_averaged():
    line = Curve(np.arange(961.0), np.append(np.arange(960) % 2, 7.0))
    line.values[1] = np.nan
    made = thin(line)
    assert len(made.values) == 240
    assert (made.iterations[0], made.values[0]) == ((0 + 2 + 3 + 4) / 4, 0.25)
    assert (made.iterations[-1], made.values[-1]) == (958.5, 2.25)


def test_experiments_that_are_not_there(tree, capsys):
    assert report.main([str(tree / "results"), "--experiments", str(tree / "none")]) == 2
    assert f"--experiments {tree / 'none'}" in capsys.readouterr().err
    assert f"{tree / 'Set9'}: " in make_page(tree, "--experiments", tree / "Set9").text
