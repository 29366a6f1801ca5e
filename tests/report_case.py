"""A made-up tree of results, and what the report page of it holds."""

import base64
import io
from dataclasses import asdict
from html.parser import HTMLParser

from prismsr.tools import report
from prismsr.tools.evaluation.summary import MetricSummary, Summary, write_results

import numpy as np
from PIL import Image

WAYS = {
    "PSNR": ("higher", "prismsr 0.1.0", "", "Y of BT.601, crop_border 4"),
    "NIQE": ("lower", "basicsr 1.4.2", "ab" * 32, "crop_border 4"),
}
STRANGE = 'b <script>alert("x")</script> & {{ co }}'
VOID = {"meta", "img", "br", "input", "link", "hr"}


def metric(column, mean, count=2, expected=2, **changes):
    better, version, weights, settings = WAYS[column]
    made = MetricSummary(mean, 0.5, count, expected, better, version, weights, "cpu", settings)
    return MetricSummary(**{**asdict(made), **changes})


def write_evaluation(root, method, metrics, missing=None, gt="Set9/GT", sr=None):
    """results/METHOD as an evaluation writes it, for SR images in sr/METHOD/Set9."""
    told = Summary(sr or str(root / "sr" / method / "Set9"), gt and str(root / gt), ["ours: a table", "  PSNR: so"])
    told.metrics, told.values = metrics, {"PSNR": {"cat": 30.0, "eye": 31.0}}
    told.missing, told.versions = missing or {}, {"torch": "2"}
    write_results(root / "results" / method, told)


def write_image(path, rgb):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(rgb, np.uint8)).save(path)


def read_image(path):
    return np.asarray(Image.open(path).convert("RGB"))


def make_page(root, *arguments):
    """The page of a tree, by the command line."""
    line = [str(argument) for argument in (root / "results", "-o", root / "page.html", *arguments)]
    assert report.main(line) == 0
    return Page((root / "page.html").read_text(encoding="utf8"))


def decode(uri):
    kind, _, data = uri.partition(";base64,")
    assert kind in ("data:image/webp", "data:image/jpeg", "data:image/png")
    with Image.open(io.BytesIO(base64.b64decode(data, validate=True))) as image:
        assert f"data:image/{image.format.lower()}" == kind
        return np.asarray(image.convert("RGB"))


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

    def find_crops(self):
        return [found["data-image"] for found in self.find("div", **{"class": "comparison"})]

    def find_panels(self):
        return [found["data-method"] for found in self.find("figure") if "data-method" in found]

    @property
    def text(self):
        return " ".join(self.words)
