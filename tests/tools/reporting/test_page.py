"""The page needs nothing but itself, and shows every text as it is."""

import re
import shutil
import subprocess

from prismsr.tools.reporting import page as report_page
from prismsr.tools.reporting.page import clean

import pytest
from markupsafe import Markup, escape
from report_case import STRANGE, make_page, metric, write_evaluation

URL_ATTRIBUTES = {"src", "href", "srcset", "action", "data", "poster", "formaction", "cite", "background", "xlink:href"}


@pytest.fixture
def experiments(tree):
    for name in ("one", "two"):
        (tree / "runs" / name).mkdir(parents=True)
        (tree / "runs" / name / "losses.csv").write_text("iter,epoch,l_pix,l_gan\n1,0,0.5,1\n2,0,0.25,2\n")
    return tree / "runs"


def test_nothing_is_fetched(tree, experiments):
    page = make_page(tree, "--lq", f"Set9={tree / 'lq'}", "--experiments", experiments)
    urls = [(name, value) for _, found in page.tags for name, value in found.items() if name in URL_ATTRIBUTES]
    assert len([url for url in urls if url[0] == "src"]) == 2 * (4 + 1)
    assert all(value.startswith("data:image/" if name == "src" else "#") for name, value in urls)
    assert not page.find("link") and not page.find("iframe") and not page.find("base")
    assert not re.search(r"url\(|@import|https?:|fetch\(|XMLHttp|import\(", "".join(page.styles))
    assert page.find("meta", **{"http-equiv": "Content-Security-Policy"})[0]["content"].startswith("default-src 'none'")


def test_every_reference_has_one_target(tree, experiments):
    page = make_page(tree, "--experiments", experiments)
    ids = [found["id"] for _, found in page.tags if "id" in found]
    assert len(set(ids)) == len(ids)
    links = [value[1:] for _, found in page.tags for name, value in found.items() if name in ("href", "xlink:href")]
    clips = re.findall(r"url\(#(.*?)\)", (tree / "page.html").read_text())
    assert links and clips and {*links, *clips} <= set(ids)


def test_names_are_escaped(tree):
    shutil.rmtree(tree / "results" / "b")
    (tree / "sr" / "b").rename(tree / "sr" / "strange")
    write_evaluation(tree, "strange", {"PSNR": metric("PSNR", 29.0, settings=STRANGE)}, missing={STRANGE: STRANGE})
    (tree / "runs" / "<b>one").mkdir(parents=True)
    (tree / "runs" / "<b>one" / "losses.csv").write_text("iter,<i>$x$\n1,0.5\n")
    line = ("--methods", f"strange={STRANGE}", "a", "--title", STRANGE, "--experiments", tree / "runs")
    page = make_page(tree, *line)
    assert len(page.find("script")) == len(page.find("style")) == 1
    assert page.cells()[1][0] == STRANGE
    assert STRANGE in page.find_panels()
    assert STRANGE in page.tables[0][1][1][2]
    assert not page.find("i", style=None) and "<i>$x$" in page.text and "<b>one" in page.text
    raw = (tree / "page.html").read_text()
    assert "<title>b &lt;script&gt;" in raw
    assert '<script>alert("x")' not in raw


def test_control_characters_and_bytes_that_are_no_text(tree):
    assert clean("a\x00\x1b\udcffb\tc") == "a\\x00\\x1b\\udcffb\tc"
    assert clean(Markup("<b>")) == "<b>" and hasattr(clean(Markup("<b>")), "__html__")
    page = make_page(tree, "--title", "a\x1b\udcff", "--methods", "a=\x07<")
    assert "a\\x1b\\udcff" in page.text and page.cells()[1][0] == page.find_panels()[0] == "\\x07<"


def test_equal_input_gives_equal_bytes(tree, experiments):
    make_page(tree, "--experiments", experiments)
    first = (tree / "page.html").read_bytes()
    make_page(tree, "--experiments", experiments)
    assert (tree / "page.html").read_bytes() == first


def test_a_narrow_screen_cuts_nothing(tree, experiments):
    """Measured by Chromium in a frame of 360 pixels: nothing but what scrolls by itself is wider."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium here")
    names = [f"metric_{number}_with_a_name_that_no_line_can_break" for number in range(9)]
    write_evaluation(tree, "b", {"PSNR": metric("PSNR", 29.0)}, missing=dict.fromkeys(names, "/".join(names)))
    make_page(tree, "--experiments", experiments, "--title", "_".join(names), "--methods", "a", f"b={names[0] * 2}")
    inner = escape((tree / "page.html").read_text(encoding="utf8"))
    measure = "const it = this.contentDocument.documentElement; document.title = it.scrollWidth + `/` + it.scrollHeight"
    (tree / "frame.html").write_text(f"<iframe width=360 height=800 onload='{measure}' srcdoc='{inner}'></iframe>")
    flags = ("--headless", "--no-sandbox", "--disable-dev-shm-usage", "--dump-dom")
    line = [chromium, *flags, f"--user-data-dir={tree / 'chromium'}", f"file://{tree / 'frame.html'}"]
    shown = subprocess.run(line, capture_output=True, text=True, check=True).stdout
    width, height = map(int, re.search("<title>(.*?)</title>", shown)[1].split("/"))
    assert width <= 360 and height > 1000


@pytest.mark.parametrize("name", ["style.css", "slider.js"])
def test_style_and_script_end_where_they_end(name):
    assert "</" not in (report_page.FOLDER / name).read_text(encoding="utf8")


def test_the_script_is_a_script():
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node here")
    subprocess.run([node, "--check", report_page.FOLDER / "slider.js"], check=True)
