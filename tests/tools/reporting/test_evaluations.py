import shutil

from prismsr.tools import report
from prismsr.tools.reporting.evaluations import find_name, read_results

import pytest
from report_case import make_page


def test_methods_are_chosen_ordered_and_named(tree, capsys):
    assert [row[0] for row in make_page(tree, "--methods", "b=Ours", "a").cells()] == ["method", "Ours", "a"]
    assert report.main([str(tree / "results"), "--methods", "c"]) == 2
    assert "--methods c" in capsys.readouterr().err


def test_one_name_twice_is_told_apart(tree):
    shutil.copytree(tree / "results" / "a", tree / "results" / "again")
    assert [row[0] for row in make_page(tree).cells()[1:]] == ["a (a)", "a (again)", "b"]


@pytest.mark.parametrize(
    ("sr", "gt", "names"),
    [
        ("results/x/Set5", "datasets/testsets/Set5/GT", ("x", "Set5")),
        ("results/x/visualization/Set5", "datasets/Set5/HR", ("x", "Set5")),
        ("/r/reproduce/esrgan/Set5/0123456789ab/images", "/r/Set5/GT", ("esrgan", "Set5")),
        ("results/x/DPED", None, ("x", "DPED")),
    ],
)
def test_names_from_paths(sr, gt, names):
    dataset = find_name(gt or sr)
    assert (find_name(sr, dataset), dataset) == names


@pytest.mark.parametrize("content", ["{", '{"metrics": {"PSNR": {}}, "sr": "x"}', "[]"])
def test_damaged_summaries_are_left_out(tree, content):
    path = tree / "results" / "c" / "summary.json"
    path.parent.mkdir()
    path.write_text(content)
    problems = []
    (group,) = read_results(tree / "results", (), problems)
    assert [one.method for one in group.evaluations] == ["a", "b"]
    assert [problem.partition(": ")[0] for problem in problems] == [str(path)]


def test_scores_without_a_summary_or_a_number_are_told(tree):
    (tree / "results" / "c").mkdir()
    (tree / "results" / "c" / "scores.csv").write_text("image,metric,value\n")
    (tree / "results" / "b" / "scores.csv").write_text("image,metric,value\ncat,PSNR,much\n")
    problems = []
    read_results(tree / "results", (), problems)
    assert [problem.partition(": ")[0] for problem in problems] == [
        str(tree / "results" / "b" / "scores.csv"),
        str(tree / "results" / "c"),
    ]
