import io
import json
import shutil

from prismsr.tools import report
from prismsr.tools.reporting.build import write_report
from prismsr.tools.reporting.crops import CropOptions, compare, find_most_different
from prismsr.tools.reporting.evaluations import read_results

import numpy as np
import pytest
from report_case import Page, decode, make_page, metric, read_image, write_evaluation, write_image


def find_by_force(images, side):
    """The crop with the largest mean range."""
    stack = np.stack([image.astype(np.float64) for image in images])
    spread = (stack.max(axis=0) - stack.min(axis=0)).mean(axis=2)
    sums = {
        (left, top): spread[top : top + side, left : left + side].mean()
        for top in range(spread.shape[0] - side + 1)
        for left in range(spread.shape[1] - side + 1)
    }
    return max(sums, key=sums.__getitem__), max(sums.values())


def test_crops_are_where_methods_differ_most(tree):
    page = make_page(tree, "--crop", 24, "--max-images", 1, "--lq", f"Set9={tree / 'lq'}")
    made = [read_image(tree / "sr" / name / "Set9" / "eye_x4.png") for name in "ab"]
    (left, top), _ = find_by_force(made, 24)
    assert left >= 45 and top >= 35
    assert page.find_crops() == [f"eye ({left}, {top})"]
    assert page.find_panels() == ["LQ", "a", "b", "GT"]
    shown = [decode(found["src"]) for found in page.find("img") if found["src"].startswith("data:image/webp")]
    large = read_image(tree / "lq" / "eye.png").repeat(4, 0).repeat(4, 1)
    for image, whole in zip(shown, [large, *made, read_image(tree / "Set9/GT/eye.png")], strict=True):
        assert np.array_equal(image, whole[top : top + 24, left : left + 24])
    assert [found["data-scores"] for found in page.find("figure", **{"class": "panel"})] == [
        "",
        *["PSNR 31.00"] * 2,
        "",
    ]
    frame = dict(part.split(": ") for part in page.find("i")[0]["style"].removesuffix("; ").split("; "))
    assert frame == {
        "left": f"{left / 0.8:.2f}%",
        "top": f"{top / 0.64:.2f}%",
        "width": "30.00%",
        "height": "37.50%",
    }


def test_most_different_of_random_images():
    rng = np.random.default_rng(1)
    images = [rng.integers(0, 256, (23, 31, 3), dtype=np.uint8) for _ in range(3)]
    place, value = find_by_force(images, 7)
    found, corner = find_most_different(images, 7)
    assert corner == place and found == pytest.approx(value)
    assert find_most_different(images, 99)[1] == (0, 0)
    single = np.zeros((40, 40, 3), np.uint8)
    single[30:34, 20:24] = 255
    left, top = find_most_different([single], 10)[1]
    assert left <= 20 <= left + 6 and top <= 30 <= top + 6


def test_given_places(tree):
    """They come first: the first of each image, in the given order, before the second ones and before other images."""
    page = make_page(tree, "--crop", 16, "--at", "cat=3,4", "cat=999,0", "--max-images", 2)
    assert page.find_crops() == ["cat (3, 4)", "cat (64, 0)"]
    assert "1 of 2 images of Set9 are shown" in page.text
    page = make_page(tree, "--crop", 16, "--at", "eye=0,1", "eye=0,2", "cat=0,3")
    assert page.find_crops() == ["eye (0, 1)", "cat (0, 3)", "eye (0, 2)"]
    page = make_page(tree, "--crop", 24, "--at", "cat=0,3")
    assert page.find_crops()[0] == "cat (0, 3)" and page.find_crops()[1].startswith("eye (")
    assert "images of Set9 are shown" not in page.text


@pytest.mark.parametrize(
    ("option", "value"),
    [("--at", "dog=1,2"), ("--at", "cat=1"), ("--lq", "Set9"), ("--lq", "Set8=."), ("--lq", "Set9=/nowhere")],
)
def test_places_and_folders_that_cannot_be_used(tree, capsys, option, value):
    assert report.main([str(tree / "results"), option, value]) == 2
    assert f"{option} {value.partition('=')[0]}" in capsys.readouterr().err


def test_size_is_bounded(tree):
    assert not make_page(tree, "--max-images", 0).find("img")
    problems = []
    (group,) = read_results(tree / "results", (), problems)
    both = compare(group, CropOptions(side=32), problems)
    assert [one.image for one in both] == ["eye", "cat"] and problems == []  # the most different first
    whole = sum(one.bytes for one in both)
    bound = CropOptions(side=32, max_bytes=whole - 1)
    assert [one.image for one in compare(group, bound, problems)] == ["eye"]
    assert "1 of 2 crops" in problems[0]
    rgb = tree / "results" / "rgb"
    shutil.copytree(tree / "results" / "a", rgb)  # a second table shares the bound
    content = json.loads((rgb / "summary.json").read_text())
    (rgb / "summary.json").write_text(json.dumps({**content, "protocol": ["another"]}))
    write_report(tree / "results", tree / "page.html", "t", CropOptions(side=32, max_bytes=whole))
    shown = Page((tree / "page.html").read_text()).find("img")
    assert sum(len(found["src"]) for found in shown) * 3 / 4 < whole * 1.02


def test_versions_of_gt_and_several_lrs(tree, photograph):
    for path in sorted((tree / "Set9" / "GT").iterdir()):
        (tree / "Set9" / "GT" / "original").mkdir(exist_ok=True)
        path.rename(tree / "Set9" / "GT" / "original" / path.name)
    write_image(tree / "Set9" / "GT" / "01" / "cat.png", photograph[:64, :80])
    for method in "ab":
        for path in (tree / "sr" / method / "Set9").iterdir():
            path.rename(path.with_name(path.name.replace("_x4", "+07")))
    problems = []
    (group,) = read_results(tree / "results", (), problems)
    made = compare(group, CropOptions(side=99), problems)
    assert [(one.image, one.box) for one in made] == [("eye+07", (0, 0, 80, 64)), ("cat+07", (0, 0, 80, 64))]
    gt = made[1].panels[-1]
    assert gt.method == "GT" and np.array_equal(read_image(io.BytesIO(gt.data)), photograph[100:164, 100:180])
    assert problems == []


def test_images_that_are_missing_or_do_not_fit_are_told(tree, capsys):
    write_evaluation(tree, "c", {"PSNR": metric("PSNR", 28.0)}, gt=None)
    write_evaluation(tree, "d", {"PSNR": metric("PSNR", 28.0)})
    write_image(tree / "sr" / "d" / "Set9" / "cat_x4.png", np.zeros((96, 96, 3)))
    shutil.copy(tree / "sr" / "a" / "Set9" / "eye_x4.png", tree / "sr" / "d" / "Set9")
    (tree / "sr" / "b" / "Set9" / "eye_x4.png").write_bytes(b"no image")
    page = make_page(tree)
    printed = capsys.readouterr().err
    for told in (
        str(tree / "sr" / "c"),
        "cat_x4.png does not fit: 96 x 96 pixels, ",
        f"Set9, b: {tree / 'sr' / 'b' / 'Set9' / 'eye_x4.png'}: ",
    ):
        assert told in printed
        assert told in page.text
    assert page.find_panels() == ["a", "b", "GT", "a", "d", "GT"]
    shutil.rmtree(tree / "Set9")
    assert "ground truths" in make_page(tree).text
