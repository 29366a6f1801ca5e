import pytest
from report_case import make_page, metric, write_evaluation


def test_table(tree):
    page = make_page(tree)
    assert page.cells() == [["method", "PSNR ↑", "NIQE ↓"], ["a", "30.50", "4.0000"], ["b", "29.12", "3.5000"]]
    assert page.bold() == ["30.50", "3.5000"]
    how = "crop_border 4; basicsr 1.4.2; weights abababababab; device cpu"
    assert page.tables[0][1][2][2] == f"{how}; std 0.5000; 2 of 2 images"
    for told in (f"NIQE: {how}.", "ours: a table", "torch 2"):
        assert told in page.text
    assert [found["data-sort"] for found in page.find("td")] == ["30.5", "4.0", "29.123456", "3.5"]
    assert "Missing" not in page.text


def test_equal_print_is_equal_and_inf_wins(tree):
    write_evaluation(tree, "a", {"PSNR": metric("PSNR", 29.1234), "NIQE": metric("NIQE", 4.0)})
    assert make_page(tree).bold() == ["3.5000"]  # 29.12 twice: neither is the best
    write_evaluation(tree, "a", {"PSNR": metric("PSNR", float("inf"))})
    page = make_page(tree)
    assert page.bold() == ["inf"]
    assert page.cells()[1] == ["a", "inf", "not run"]


def test_numbers_that_cannot_be_compared_have_no_best(tree):
    other = {"PSNR": metric("PSNR", 29.0, settings="RGB, crop_border 0"), "NIQE": metric("NIQE", 3.0, count=1)}
    write_evaluation(tree, "b", other, missing={"FID": "weights <inception> are not there"})
    page = make_page(tree)
    assert page.bold() == []
    assert page.cells()[2] == ["b", "29.00", "3.0000 1 of 2", "not run"]
    assert "PSNR: RGB, crop_border 0; prismsr 0.1.0; no weights; device cpu." in page.text
    assert "not made alike" in page.text
    assert "FID of b: weights <inception> are not there" in page.text


@pytest.mark.parametrize("change", [{"weights": "cd" * 32}, {"version": "basicsr 2"}])
def test_other_weights_and_versions_cannot_be_compared(tree, change):
    write_evaluation(tree, "b", {"PSNR": metric("PSNR", 29.0), "NIQE": metric("NIQE", 3.0, **change)})
    assert make_page(tree).bold() == ["30.50"]


def test_the_device_does_not_count(tree):
    write_evaluation(tree, "b", {"PSNR": metric("PSNR", 29.0, device="cuda:0"), "NIQE": metric("NIQE", 3.0)})
    page = make_page(tree)
    assert page.bold() == ["30.50", "3.0000"]
    assert "device cuda:0." in page.text


def test_each_note_is_where_its_marks_point(tree):
    write_evaluation(tree, "b", {"PSNR": metric("PSNR", 29.0)}, missing={"NIQE": "no weights", "FID": "no weights"})
    page = make_page(tree)
    notes = [found["id"] for found in page.find("li") if "id" in found]
    marks = [found["href"][1:] for found in page.find("a") if "note" in found["href"]]
    assert notes == [f"set-1-note-{number}" for number in range(1, 6)]
    assert set(marks) == set(notes)
