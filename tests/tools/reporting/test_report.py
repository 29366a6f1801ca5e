"""tools/report.py: a made-up tree of results becomes the expected page, which needs nothing but itself."""

import base64
import importlib
import io
import json
import re
import shutil
import subprocess
from dataclasses import asdict
from html.parser import HTMLParser

from prismsr.models.training.log import write_log
from prismsr.tools import report
from prismsr.tools.evaluation.results import write_results
from prismsr.tools.evaluation.summary import MetricSummary, Summary
from prismsr.tools.reporting import crops as report_crops
from prismsr.tools.reporting import curves as report_curves
from prismsr.tools.reporting import demo as demo_report
from prismsr.tools.reporting import evaluations as report_results
from prismsr.tools.reporting import html as report_html
from prismsr.tools.reproduction import cells as reproduction_report

import cv2
import numpy as np
import pytest
import torch
import yaml
from PIL import Image

WAYS = {
    "PSNR": ("higher", "prismsr 0.1.0", "", "Y of BT.601, crop_border 4"),
    "NIQE": ("lower", "basicsr 1.4.2", "ab" * 32, "crop_border 4"),
}
STRANGE = 'b <script>alert("x")</script> & co'
URL_ATTRIBUTES = {"src", "href", "srcset", "action", "data", "poster", "formaction", "cite", "background", "xlink:href"}
VOID = {"meta", "img", "br", "input", "link", "hr"}


@pytest.fixture(scope="module")
def tool():
    return report


def metric(column, mean, count=2, expected=2, **changes):
    better, version, weights, settings = WAYS[column]
    made = MetricSummary(mean, 0.5, count, expected, better, version, weights, "cpu", settings)
    return MetricSummary(**{**asdict(made), **changes})


def evaluation(root, method, metrics, values=None, missing=None, gt="Set9/GT", sr=None):
    """results/METHOD as an evaluation writes it, for SR images in sr/METHOD/Set9."""
    values = values or {"PSNR": {"cat": 30.0, "eye": 31.0}}
    told = Summary(sr or str(root / "sr" / method / "Set9"), gt and str(root / gt), ["ours: a table", "  PSNR: so"])
    told.metrics, told.values, told.missing, told.versions = metrics, values, missing or {}, {"torch": "2"}
    write_results(root / "results" / method, told)


def pictures(root, photograph, methods):
    """GT of 64 x 80 pixels; each method's images are noisier, most of all in one corner of `eye`."""
    noise = np.random.default_rng(0)
    for name, gt in (("cat", photograph[100:164, 100:180]), ("eye", photograph[60:124, 150:230])):
        write(root / "Set9" / "GT" / f"{name}.png", gt)
        write(root / "lq" / f"{name}.png", gt[::4, ::4])
        for strength, method in enumerate(methods, start=1):
            change = noise.integers(-2 * strength, 2 * strength + 1, gt.shape)
            change[40:, 50:] *= 8 if name == "eye" else 1
            write(root / "sr" / method / "Set9" / f"{name}_x4.png", np.clip(gt.astype(int) + change, 0, 255))


def write(path, rgb):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(rgb, np.uint8)).save(path)


@pytest.fixture
def tree(tmp_path, photograph):
    pictures(tmp_path, photograph, ["a", "b"])
    evaluation(tmp_path, "a", {"PSNR": metric("PSNR", 30.5), "NIQE": metric("NIQE", 4.0)})
    evaluation(tmp_path, "b", {"PSNR": metric("PSNR", 29.123456), "NIQE": metric("NIQE", 3.5)})
    return tmp_path


class Page(HTMLParser):
    """What a page holds: start tags with attributes, tables as rows of (text, bold text, title), text, open tags."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.tables, self.words, self.styles, self._open = [], [], [], [], []
        self.feed(text)
        self.close()
        assert not self._open, self._open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append(["", "", dict(attrs).get("title")])
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        if "style" in self._open or "script" in self._open:
            self.styles.append(data)
            return
        self.words.append(data)
        if ("td" in self._open or "th" in self._open) and "sup" not in self._open:
            cell = self.tables[-1][-1][-1]
            cell[0] += data
            cell[1] += data if "b" in self._open else ""

    def cells(self, table=0):
        return [[cell[0].strip() for cell in row] for row in self.tables[table]]

    def bold(self, table=0):
        return [cell[1] for row in self.tables[table] for cell in row if cell[1]]

    def find(self, tag, **attributes):
        return [found for name, found in self.tags if name == tag and attributes.items() <= found.items()]

    @property
    def text(self):
        return " ".join(self.words)


def make(tool, root, *arguments):
    """The page of a tree, by the command line."""
    line = [str(argument) for argument in (root / "results", "-o", root / "page.html", *arguments)]
    assert tool.main(line) == 0
    return Page((root / "page.html").read_text(encoding="utf8"))


def decoded(uri):
    kind, _, data = uri.partition(";base64,")
    assert kind in ("data:image/webp", "data:image/jpeg", "data:image/png")
    with Image.open(io.BytesIO(base64.b64decode(data, validate=True))) as image:
        assert f"data:image/{image.format.lower()}" == kind
        return np.asarray(image.convert("RGB"))


# ------------------------------------------------------------------------------------------------ tables


def test_table(tool, tree):
    page = make(tool, tree)
    assert page.cells() == [["method", "PSNR ↑", "NIQE ↓"], ["a", "30.50", "4.0000"], ["b", "29.12", "3.5000"]]
    assert page.bold() == ["30.50", "3.5000"]
    how = "crop_border 4; basicsr 1.4.2; weights abababababab; device cpu; std 0.5000; 2 of 2 images"
    assert page.tables[0][1][2][2] == how
    for told in ("NIQE: crop_border 4; basicsr 1.4.2; weights abababababab; device cpu.", "ours: a table", "torch 2"):
        assert told in page.text
    assert [found["data-value"] for found in page.find("td")] == ["30.5", "4.0", "29.123456", "3.5"]
    assert "Missing" not in page.text


def test_equal_print_is_equal_and_inf_wins(tool, tree):
    evaluation(tree, "a", {"PSNR": metric("PSNR", 29.1234), "NIQE": metric("NIQE", 4.0)})
    assert make(tool, tree).bold() == ["3.5000"]  # 29.12 twice: neither is the best
    evaluation(tree, "a", {"PSNR": metric("PSNR", float("inf"))})
    page = make(tool, tree)
    assert page.bold() == ["inf"]
    assert page.cells()[1] == ["a", "inf", "not run"]


def test_numbers_that_cannot_be_compared_have_no_best(tool, tree):
    other = {"PSNR": metric("PSNR", 29.0, settings="RGB, crop_border 0"), "NIQE": metric("NIQE", 3.0, count=1)}
    evaluation(tree, "b", other, missing={"FID": "weights <inception> are not there"})
    page = make(tool, tree)
    assert page.bold() == []
    assert page.cells()[2] == ["b", "29.00", "3.0000 1 of 2", "not run"]
    assert "PSNR: RGB, crop_border 0; prismsr 0.1.0; no weights; device cpu." in page.text
    assert "not made alike" in page.text
    assert "FID of b: weights <inception> are not there" in page.text


@pytest.mark.parametrize("change", [{"weights": "cd" * 32}, {"version": "basicsr 2"}])
def test_other_weights_and_versions_cannot_be_compared(tool, tree, change):
    evaluation(tree, "b", {"PSNR": metric("PSNR", 29.0), "NIQE": metric("NIQE", 3.0, **change)})
    assert make(tool, tree).bold() == ["30.50"]


def test_the_device_does_not_count(tool, tree):
    evaluation(tree, "b", {"PSNR": metric("PSNR", 29.0, device="cuda:0"), "NIQE": metric("NIQE", 3.0)})
    page = make(tool, tree)
    assert page.bold() == ["30.50", "3.0000"]
    assert "device cuda:0." in page.text


def test_methods_are_chosen_ordered_and_named(tool, tree, capsys):
    assert [row[0] for row in make(tool, tree, "--methods", "b=Ours", "a").cells()] == ["method", "Ours", "a"]
    assert tool.main([str(tree / "results"), "--methods", "c"]) == 2
    assert "--methods c: there is none" in capsys.readouterr().err


def test_one_name_twice_is_told_apart(tool, tree):
    first = tree / "results" / "a"
    shutil.copytree(first, tree / "results" / "again")
    assert [row[0] for row in make(tool, tree).cells()[1:]] == ["a (a)", "a (again)", "b"]


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
    results = report_results
    dataset = results.dataset_name(sr, gt)
    assert (results.method_name(sr, dataset), dataset) == names


# ------------------------------------------------------------------------------------------------ the page


def test_nothing_is_fetched(tool, tree):
    page = make(tool, tree, "--lq", f"Set9={tree / 'lq'}")
    urls = [(name, value) for _, found in page.tags for name, value in found.items() if name in URL_ATTRIBUTES]
    assert len([url for url in urls if url[0] == "src"]) == 2 * (4 + 1)
    assert all(value.startswith("data:image/" if name == "src" else "#") for name, value in urls)
    assert not page.find("link") and not page.find("iframe") and not page.find("base")
    assert not re.search(r"url\(|@import|https?:|fetch\(|XMLHttp|import\(", "".join(page.styles))
    assert page.find("meta", **{"http-equiv": "Content-Security-Policy"})[0]["content"].startswith("default-src 'none'")
    targets = {found["id"] for _, found in page.tags if "id" in found}
    assert {value[1:] for name, value in urls if name == "href"} <= targets


def test_names_are_escaped(tool, tree):
    for folder in ("sr", "results"):
        shutil.rmtree(tree / folder / "b") if folder == "results" else (tree / "sr" / "b").rename(
            tree / "sr" / "strange"
        )
    evaluation(tree, "strange", {"PSNR": metric("PSNR", 29.0, settings=STRANGE)}, missing={STRANGE: STRANGE})
    page = make(tool, tree, "--methods", f"strange={STRANGE}", "a", "--title", STRANGE)
    assert len(page.find("script")) == 1
    assert page.cells()[1][0] == STRANGE
    assert STRANGE in [found.get("data-method") for found in page.find("figure")]
    assert STRANGE in page.tables[0][1][1][2]
    raw = (tree / "page.html").read_text()
    assert "<title>b &lt;script&gt;" in raw
    assert '<script>alert("x")' not in raw


def test_control_characters_and_bytes_that_are_no_text():
    html = report_html
    assert html.clean("a\x00\x1b\udcffb\tc") == "a\\x00\\x1b\\udcffb\tc"
    made = html.element("p", "1 < 2", html.element("b", "x"), "& so", title='"', hidden=True, id=None)
    assert html.document(made).splitlines()[1] == '<p title="&quot;" hidden="hidden">1 &lt; 2<b>x</b>&amp; so</p>'
    with pytest.raises(ValueError, match="must not hold"):
        html.document(html.element("body", html.element("script", "'</script>'")))


def test_equal_input_gives_equal_bytes(tool, tree):
    make(tool, tree)
    first = (tree / "page.html").read_bytes()
    make(tool, tree)
    assert (tree / "page.html").read_bytes() == first


def test_the_script_is_a_script(repository):
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node here")
    subprocess.run([node, "--check", repository / "tools" / "report_page.js"], check=True)


# ------------------------------------------------------------------------------------------------ crops


def naive_place(images, side):
    """The crop with the largest mean range, by brute force."""
    stack = np.stack([image.astype(np.float64) for image in images])
    spread = (stack.max(axis=0) - stack.min(axis=0)).mean(axis=2)
    sums = {
        (left, top): spread[top : top + side, left : left + side].mean()
        for top in range(spread.shape[0] - side + 1)
        for left in range(spread.shape[1] - side + 1)
    }
    return max(sums, key=sums.__getitem__), max(sums.values())


def test_crops_are_where_methods_differ_most(tool, tree):
    page = make(tool, tree, "--crop", 24, "--max-images", 1, "--lq", f"Set9={tree / 'lq'}")
    read = lambda path: np.asarray(Image.open(path))
    (left, top), _ = naive_place([read(tree / "sr" / name / "Set9" / "eye_x4.png") for name in "ab"], 24)
    assert left >= 45 and top >= 35
    assert [found["data-image"] for found in page.find("div", **{"class": "comparison"})] == [f"eye ({left}, {top})"]
    figures = [found["data-method"] for found in page.find("figure") if "data-method" in found]
    assert figures == ["LQ", "a", "b", "GT"]
    shown = [decoded(found["src"]) for found in page.find("img") if found["src"].startswith("data:image/webp")]
    files = [
        tree / "sr" / "a" / "Set9" / "eye_x4.png",
        tree / "sr" / "b" / "Set9" / "eye_x4.png",
        tree / "Set9/GT/eye.png",
    ]
    large = read(tree / "lq" / "eye.png").repeat(4, 0).repeat(4, 1)
    for image, whole in zip(shown, [large, *map(read, files)], strict=True):
        assert np.array_equal(image, whole[top : top + 24, left : left + 24])
    assert {found["data-scores"] for found in page.find("figure", **{"class": "panel made"})} == {"PSNR 31.00"}


def test_most_different_of_random_images():
    crops, rng = report_crops, np.random.default_rng(1)
    images = [rng.integers(0, 256, (23, 31, 3), dtype=np.uint8) for _ in range(3)]
    place, value = naive_place(images, 7)
    found, corner = crops.most_different(images, 7)
    assert corner == place and found == pytest.approx(value)
    assert crops.most_different(images, 99)[1] == (0, 0)
    single = np.zeros((40, 40, 3), np.uint8)
    single[30:34, 20:24] = 255
    left, top = crops.most_different([single], 10)[1]
    assert left <= 20 <= left + 6 and top <= 30 <= top + 6


def test_given_places_and_their_mistakes(tool, tree, capsys):
    page = make(tool, tree, "--crop", 16, "--at", "cat=3,4", "cat=999,0", "--max-images", 2)
    assert [found["data-image"] for found in page.find("div", **{"class": "comparison"})] == [
        "cat (3, 4)",
        "cat (64, 0)",
    ]
    for line, told in (
        (["--at", "dog=1,2"], "--at dog: the results have no such name"),
        (["--at", "cat=1"], "write IMAGE=LEFT,TOP"),
        (["--lq", "Set9"], "write NAME=VALUE"),
        (["--lq", f"Set8={tree}"], "--lq Set8: the results have no such name; did you mean"),
        (["--lq", "Set9=/nowhere"], "no such folder"),
    ):
        assert tool.main([str(tree / "results"), *line]) == 2
        assert told.split(";")[0] in capsys.readouterr().err


def test_size_is_bounded(tool, tree):
    assert not make(tool, tree, "--max-images", 0).find("img")
    crops, results, problems = report_crops, report_results, []
    (group,) = results.read_results(tree / "results").groups
    both = crops.compare(group, crops.CropOptions(side=32), problems)
    assert [one.image for one in both] == ["cat", "eye"] and problems == []
    bound = crops.CropOptions(side=32, max_bytes=sum(one.bytes for one in both) - 1)
    assert [one.image for one in crops.compare(group, bound, problems)] == ["eye"]  # the most different
    assert "1 of 2 crops are shown" in problems[0]
    rgb = tree / "results" / "rgb"
    shutil.copytree(tree / "results" / "a", rgb)  # a second table shares the bound
    content = json.loads((rgb / "summary.json").read_text())
    (rgb / "summary.json").write_text(json.dumps({**content, "protocol": ["another"]}))
    whole = sum(one.bytes for one in both)
    bound = crops.CropOptions(side=32, max_bytes=whole)
    tool.write_report(tree / "results", tree / "page.html", "t", bound)
    shown = Page((tree / "page.html").read_text()).find("img")
    assert sum(len(found["src"]) for found in shown) * 3 / 4 < whole * 1.02


def test_versions_of_gt_and_several_lrs(tree, photograph):
    crops, results = report_crops, report_results
    for path in sorted((tree / "Set9" / "GT").iterdir()):
        (tree / "Set9" / "GT" / "original").mkdir(exist_ok=True)
        path.rename(tree / "Set9" / "GT" / "original" / path.name)
    write(tree / "Set9" / "GT" / "01" / "cat.png", photograph[:64, :80])
    for method in "ab":
        for path in (tree / "sr" / method / "Set9").iterdir():
            path.rename(path.with_name(path.name.replace("_x4", "+07")))
    problems = []
    (group,) = results.read_results(tree / "results").groups
    made = crops.compare(group, crops.CropOptions(side=99), problems)
    assert [(one.image, one.box) for one in made] == [("cat+07", (0, 0, 80, 64)), ("eye+07", (0, 0, 80, 64))]
    gt = np.asarray(Image.open(io.BytesIO(made[0].panels[-1].data)).convert("RGB"))
    assert made[0].panels[-1].method == "GT" and np.array_equal(gt, photograph[100:164, 100:180])
    assert problems == []


# ------------------------------------------------------------------------------------------------ what is missing


def test_missing_pieces_are_told(tool, tree, capsys):
    evaluation(tree, "c", {"PSNR": metric("PSNR", 28.0)}, gt=None)
    evaluation(tree, "d", {"PSNR": metric("PSNR", 28.0)})
    write(tree / "sr" / "d" / "Set9" / "cat_x4.png", np.zeros((96, 96, 3)))
    shutil.copy(tree / "sr" / "a" / "Set9" / "eye_x4.png", tree / "sr" / "d" / "Set9")
    (tree / "sr" / "b" / "Set9" / "eye_x4.png").write_bytes(b"no image")
    for name, content in (("e", "{"), ("f", '{"metrics": {"PSNR": {}}, "sr": "x"}'), ("g", "[]")):
        (tree / "results" / name).mkdir()
        (tree / "results" / name / "summary.json").write_text(content)
    (tree / "results" / "h").mkdir()
    (tree / "results" / "h" / "scores.csv").write_text("image,metric,value\n")
    (tree / "results" / "b" / "scores.csv").write_text("image,metric,value\ncat,PSNR,much\n")
    page = make(tool, tree)
    printed = capsys.readouterr().err
    for told in (
        "c: the SR images are not there (any more)",
        "cat_x4.png does not fit: 96 x 96 pixels, the first method's image 80 x 64",
        "Set9, b: " + str(tree / "sr" / "b" / "Set9" / "eye_x4.png") + ": cannot be decoded",
        str(tree / "results" / "e" / "summary.json") + ": is no summary",
        str(tree / "results" / "f" / "summary.json") + ": is no summary",
        str(tree / "results" / "g" / "summary.json") + ": is no summary",
        str(tree / "results" / "h") + ": has scores.csv and no summary.json",
        "b/scores.csv: the scores of single images cannot be read",
    ):
        assert told in printed
        assert told in page.text
    shown = [found["data-method"] for found in page.find("figure") if "data-method" in found]
    assert shown == ["a", "b", "GT", "a", "d", "GT"]
    shutil.rmtree(tree / "Set9")
    assert "the ground truths are not there" in make(tool, tree).text


def test_nothing_to_show(tool, tmp_path, capsys):
    assert tool.main([str(tmp_path / "none")]) == 2
    assert "no such folder" in capsys.readouterr().err
    assert tool.main([str(tmp_path)]) == 2
    assert "there is nothing to show" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


# ------------------------------------------------------------------------------------------------ curves


def test_curves(tool, tree):
    for name, last in (("one", "0.125"), ("two", "nan")):
        rows = [{"iter": "10", "l_pix": "0.5", "lr_0": "0.1"}, {"iter": "15", "lr_0": "0.01"}]
        rows.append({"iter": "20", "l_pix": last, "lr_0": "0.0001"})
        (tree / "runs" / name).mkdir(parents=True)
        write_log(tree / "runs" / name / "losses.csv", rows)
    measured = [{"iter": "20", "dataset": "Set<5>", "metric": "psnr", "value": "28"}]
    write_log(tree / "runs" / "one" / "metrics.csv", measured)
    (tree / "runs" / "three").mkdir()
    write(tree / "runs" / "three" / "losses.png", np.zeros((5, 5, 3)))
    page = make(tool, tree, "--experiments", tree / "runs")
    assert "l_pix (1 values not finite)" in page.text and "psnr, Set<5>" in page.text
    titles = [found["aria-label"] for found in page.find("svg")]
    assert titles == ["psnr, Set<5>", "l_pix (1 values not finite)", "learning rate"]
    lines = [
        [tuple(map(float, pair.split(","))) for pair in found["points"].split()] for found in page.find("polyline")
    ]
    assert [len(line) for line in lines] == [1, 2, 1, 3, 3]
    left, width, low, height = 52, 360 - 52 - 10, 200 - 26, 200 - 26 - 10  # margins of the diagram
    for (x, y), (iteration, value) in zip(lines[1], [(10, 0.5), (20, 0.125)], strict=True):
        assert x == pytest.approx(left + iteration / (20 * 1.02) * width, abs=0.06)
        up = (value - (0.125 - 0.05 * 0.375)) / (0.375 * 1.1)  # 5 % room below and above
        assert y == pytest.approx(low - up * height, abs=0.06)
    up = (-2 - (-4 - 0.15)) / 3.3  # learning rates are on a logarithmic axis
    assert lines[3][1][1] == pytest.approx(low - up * height, abs=0.06)
    assert decoded(page.find("img", **{"class": "picture"})[0]["src"]).shape == (5, 5, 3)


def test_many_points_are_averaged_and_ticks_are_round():
    curves = report_curves
    line = [(float(index), float(index % 2)) for index in range(960)]
    assert curves.thinned(line)[:2] == [(1.5, 0.5), (5.5, 0.5)]
    assert len(curves.thinned(line)) == 240
    assert curves.ticks(0, 612) == [0, 200, 400, 600]
    assert curves.ticks(27.9, 28.4) == [27.9, 28, 28.1, 28.2, 28.3, 28.4]
    assert curves.log_ticks(-2.1, 0.4) == pytest.approx([0.01, 0.1, 1])
    assert curves.log_ticks(-1.1, 0.4) == pytest.approx([0.1, 0.2, 0.5, 1, 2])
    assert [curves.short(value) for value in (0, 500, 2500, 1e6)] == ["0", "500", "2.5k", "1M"]


def test_experiments_that_are_not_there(tool, tree, capsys):
    assert tool.main([str(tree / "results"), "--experiments", str(tree / "none")]) == 2
    assert "no such folder" in capsys.readouterr().err
    assert "has no losses.csv, metrics.csv or losses.png" in make(tool, tree, "--experiments", tree / "Set9").text


# ------------------------------------------------------------------------------------------------ papers' tables


def paper_table(folder):
    """ssl-1.json as tools/reproduce.py writes it."""
    cell = reproduction_report.Cell
    about = [("ssl-1", "Set5", "ESRGAN+SSL", "PSNR", "higher", 30.0, 30.05, 0.1, "done")]
    about += [("ssl-1", "Set5", "ESRGAN+SSL", "LPIPS", "lower", 0.07, 0.1, 0.01, "done")]
    about += [("ssl-1", "Set14", "ESRGAN+SSL", "PSNR", "higher", 26.0, None, 0.1, "missing", ("get <Set14>",))]
    cells = [cell(*values) for values in about]
    cells = [{**asdict(one), "difference": one.difference, "verdict": one.verdict} for one in cells]
    column = {
        "settings": "Y",
        "version": "v",
        "weights": "cd" * 32,
        "device": "cpu",
        "count": 5,
        "value": 30.05,
        "key": "",
    }
    made = {"method": "ESRGAN+SSL", "dataset": "Set5", "columns": {"PSNR": column}}
    folder.mkdir(parents=True, exist_ok=True)
    content = {"table": "ssl-1", "title": "SSL", "cells": cells, "results": [made]}
    (folder / "ssl-1.json").write_text(json.dumps(content))
    write(folder / "plots" / "ssl-1_plane.png", np.zeros((4, 6, 3)))


def test_tables_of_papers(tool, tmp_path):
    paper_table(tmp_path / "results" / "deep")
    (tmp_path / "results" / "other.json").write_text("[1]")
    (tmp_path / "results" / "ssl-2.json").write_text('{"table": "ssl-2", "cells": [{}]}')
    page = make(tool, tmp_path)
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
    assert decoded(page.find("img")[0]["src"]).shape == (4, 6, 3)
    assert "ssl-2.json: is no table of tools/reproduce.py" in page.text and "other.json" not in page.text


# ------------------------------------------------------------------------------------------------ the demo


def test_demo_writes_the_page(tmp_path, photograph):
    demo, build = demo_report, importlib.import_module("basicsr.archs").build_network
    write(tmp_path / "datasets/demo/val/HR" / "cat.png", photograph[40:240, 60:260])
    write(
        tmp_path / "datasets/demo/val/LR" / "cat.png", cv2.resize(photograph[40:240, 60:260], (50, 50), interpolation=3)
    )
    network = {"type": "SRVGGNetCompact", "num_feat": 4, "num_conv": 1, "upscale": 4, "act_type": "prelu"}
    files = {}
    for seed, method in enumerate(("l1", "gan_ssl")):
        torch.manual_seed(seed)
        val = {
            "dataroot_gt": "datasets/demo/val/HR",
            "dataroot_lq": "datasets/demo/val/LR",
            "type": "PairedImageMaskDataset",
            "name": "v",
        }
        options = {"name": f"demo_{method}", "scale": 4, "network_g": network, "datasets": {"val": val}, "train": {}}
        files[method] = tmp_path / f"{method}.yml"
        files[method].write_text(yaml.safe_dump({**options, "model_type": "PrismSRModel"}))
        folder = tmp_path / "experiments" / f"demo_{method}"
        (folder / "models").mkdir(parents=True)
        torch.save({"params_ema": build(dict(network)).state_dict()}, folder / "models" / "net_g_latest.pth")
        write_log(folder / "losses.csv", [{"iter": "1", "l_pix": "1"}])
    demo.write_report(tmp_path, files, {"data": 1.0})
    out = tmp_path / "results" / "demo"
    report, page = json.loads((out / "report.json").read_text()), Page((out / "report.html").read_text())
    assert page.cells()[0] == ["method", "PSNR ↑", "SSIM ↑", "NIQE ↓", "LPIPS-ST ↓"]
    for row, method, title in zip(page.cells()[1:], report["mean"], ("bicubic", "L1", "GAN + SSL"), strict=True):
        values = report["mean"][method]
        assert report["images"]["cat"][method] == pytest.approx(values)
        figures = [f"{values[name]:.{digits}f}" for name, digits in zip(values, (2, 4, 4, 4), strict=True)]
        assert row == [title, *figures]
    figures = [found["data-method"] for found in page.find("figure") if "data-method" in found]
    assert figures == ["LQ", "bicubic", "L1", "GAN + SSL", "GT"]
    assert len(page.find("svg")) == 1 and "Missing" not in page.text
    assert (out / "comparison.png").is_file() and "| **mean** | L1 |" in (out / "report.md").read_text()
