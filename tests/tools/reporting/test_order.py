"""What a reader meets first: what was done, then the pictures with GT in the first pair, then figures."""

import shutil

from prismsr.models.training.log import write_log
from prismsr.tools.reporting.build import write_report

import numpy as np
import pytest
from report_case import Page, decode, make_page, metric, read_image, write_evaluation

ABOUT = ["One was trained.", "Two was, too.", "Both were measured."]
LOOK, FOUND = "The <left> eye.", "Method b is worse."


@pytest.fixture
def page(tree):
    """A page with everything that it can hold."""
    write_log(tree / "run" / "losses.csv", [{"iter": "1", "l_pix": "0.5"}])
    extras = [("A map", tree / "lq" / "eye.png", "Bright is far."), ("Gone", tree / "gone.png", "Nothing.")]
    told = {"about": ABOUT, "look": LOOK, "extras": extras, "found": [FOUND]}
    (problem,) = write_report(tree / "results", tree / "page.html", "Title", experiments=[tree / "run"], **told)
    assert problem.startswith(str(tree / "gone.png"))
    return Page((tree / "page.html").read_text(encoding="utf8"))


def find_pairs(page):
    return [(one["data-a"], one["data-b"]) for one in page.find("div", **{"class": "gallery"})]


def test_the_order_is_that_of_reading(page):
    text = " ".join(page.text.split())
    parts = [" ".join(ABOUT), LOOK, "64 pixels at 0, 0", "Bright is far.", FOUND, "29.12", "l_pix", "gone.png"]
    places = [text.index(part) for part in parts]
    assert places == sorted(places) and "Nothing." not in text
    sections = ["#pictures", "#extras", "#found", "#set-1", "#curves", "#missing"]
    assert [f"#{found['id']}" for found in page.find("section")] == sections
    assert [found["href"] for found in page.find("a") if "-note-" not in found["href"]] == sections
    tags = [tag for tag, _ in page.tags]
    last_picture = max(place for place, tag in enumerate(tags) if tag == "img")
    assert last_picture < tags.index("table") < tags.index("svg")


def test_extras_are_shown_as_they_are(page, tree):
    (shown,) = (found["src"] for found in page.find("img", alt="A map"))
    assert np.array_equal(decode(shown), read_image(tree / "lq" / "eye.png"))


def test_gt_is_in_the_first_pair(page, tree):
    assert find_pairs(page) == [("b", "GT")]
    assert find_pairs(make_page(tree, "--methods", "b", "a=GAN")) == [("GAN", "GT")]
    (tree / "Set9" / "GT" / "eye.png").unlink()  # the first picture lacks it
    assert find_pairs(make_page(tree)) == [("b", "GT")]
    shutil.rmtree(tree / "Set9")
    assert find_pairs(make_page(tree)) == [("a", "b")]


def test_a_report_without_a_story_tells_what_it_holds(tree):
    page = make_page(tree, "--methods", "b", "a=GAN")
    (shown,) = [text for text in page.words if "2 methods" in text]
    assert shown.strip() == (
        "2 methods are compared on 2 images of Set9: b and GAN. "
        "The measures are PSNR (higher is better) and NIQE (lower is better). The protocol is “ours: a table”."
    )
    shutil.rmtree(tree / "results" / "b")
    write_evaluation(tree, "a", {"PSNR": metric("PSNR", 30.0)})
    assert "1 method is measured on 2 images of Set9: a. The measures are PSNR (higher" in make_page(tree).text


def test_a_run_alone_tells_how_far_it_is(tree):
    shutil.rmtree(tree / "results")
    for name, steps in (("one", (1, 20)), ("two", (1, 300))):
        write_log(tree / "results" / name / "losses.csv", [{"iter": str(step), "l_pix": "0.5"} for step in steps])
    page = make_page(tree, "--experiments", tree / "results")
    assert "2 trainings are shown: one and two. The last iteration is 20 of one and 300 of two." in page.text
