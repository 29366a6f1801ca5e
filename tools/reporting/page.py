"""The page of tools/report.py: one HTML file without external files, from tables, curves and crops."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from prismsr.tools.reporting.crops import Comparison, Panel
from prismsr.tools.reporting.curves import COLOURS, Chart, Curves, draw
from prismsr.tools.reporting.evaluations import Group
from prismsr.tools.reporting.html import Element, data_uri, document, element
from prismsr.tools.reporting.images import GT, LQ
from prismsr.tools.reporting.paper_tables import Reproduction, section_content
from prismsr.tools.reporting.tables import number, problem_list, protocol, table

FOLDER = Path(__file__).resolve().parent
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
"""The browser itself refuses to fetch anything."""


def page(
    title: str,
    groups: Sequence[Group],
    crops: Mapping[int, Sequence[Comparison]],
    curves: Curves | None = None,
    reproductions: Sequence[Reproduction] = (),
    problems: Sequence[str] = (),
) -> str:
    """The HTML text; equal for equal arguments.

    Args:
        title: of the page.
        groups: tables of evaluations.
        crops: by index in `groups`.
        curves: of experiments.
        reproductions: papers' tables.
        problems: what is missing.
    """
    sections = [
        _section(f"{one.name}: {one.title}", f"table-{index}", *section_content(one))
        for index, one in enumerate(reproductions)
    ]
    sections += [_group(group, index, crops.get(index, ())) for index, group in enumerate(groups)]
    sections += [_curves(curves)] if curves and (curves.metrics or curves.losses or curves.pictures) else []
    sections += problem_list(problems)
    body = element("body", element("header", element("h1", title)), _contents(sections), *sections)
    body.append(element("script", (FOLDER / "page.js").read_text(encoding="utf8")))
    return document(element("html", _head(title), body, lang="en"))


def _head(title: str) -> Element:
    return element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", http_equiv="Content-Security-Policy", content=POLICY),
        element("title", title),
        element("style", (FOLDER / "page.css").read_text(encoding="utf8")),
    )


def _contents(sections: Sequence[Element]) -> Element:
    links = []
    for section in sections:
        heading = section.find("h2")
        text = "" if heading is None else "".join(heading.itertext())
        links.append(element("li", element("a", text, href=f"#{section.get('id')}")))
    return element("nav", element("ul", *links), aria_label="contents")


def _section(heading: str, name: str, *content: Element, class_: str | None = None) -> Element:
    return element("section", element("h2", heading), *content, id=name, class_=class_)


def _group(group: Group, index: int, comparisons: Sequence[Comparison]) -> Element:
    name = f"set-{index}"
    content = [element("p", group.protocol, class_="soft"), *table(group, f"{name}-note"), protocol(group)]
    content += [_comparison(one) for one in comparisons]
    return _section(group.dataset, name, *content, class_="crops")


# ------------------------------------------------------------------------------------------------ crops


def _comparison(one: Comparison) -> Element:
    left, top, width, height = one.box
    where = f"{one.image}, {width} x {height} pixels at {left}, {top}"
    row = element("div", *(_panel(panel) for panel in one.panels), class_="row")
    return element(
        "div",
        element("h3", where),
        element("div", _overview(one), row, class_="split"),
        class_="comparison",
        data_image=f"{one.image} ({left}, {top})",
        data_width=width,
        data_height=height,
    )


def _overview(one: Comparison) -> Element:
    (left, top, width, height), (whole_width, whole_height) = one.box, one.size
    sides = {"left": left / whole_width, "top": top / whole_height}
    sides |= {"width": width / whole_width, "height": height / whole_height}
    frame = element("i", style="; ".join(f"{side}: {100 * share:.2f}%" for side, share in sides.items()))
    picture = element("img", src=data_uri("image/jpeg", one.overview), alt=f"{one.image}, where the crop lies")
    return element("figure", picture, frame, class_="overview")


def _panel(panel: Panel) -> Element:
    scores = ", ".join(f"{column} {number(value, column)}" for column, value in panel.scores.items())
    picture = element("img", src=data_uri("image/webp", panel.data), alt=f"crop of {panel.method}")
    caption = element("figcaption", element("b", panel.method), element("br"), scores)
    kind = "panel" if panel.method in (GT, LQ) else "panel made"
    return element("figure", picture, caption, class_=kind, data_method=panel.method, data_scores=scores)


# ------------------------------------------------------------------------------------------------ curves


def _curves(curves: Curves) -> Element:
    names = list(dict.fromkeys(name for chart in (*curves.metrics, *curves.losses) for name in chart.lines))
    colours = {name: index for index, name in enumerate(names)}
    marks = (
        element("li", element("i"), element("span", name), class_=f"c{index % COLOURS}")
        for name, index in colours.items()
    )
    content = [element("ul", *marks, class_="legend")] if names else []
    for heading, charts in (("Validation", curves.metrics), ("Losses and learning rates", curves.losses)):
        content += [element("h3", heading), _charts(charts, colours)] if charts else []
    for name, picture in curves.pictures.items():
        content.append(element("h3", name))
        content.append(
            element("img", src=data_uri("image/png", picture), alt=f"losses of {name}", class_="picture"),
        )
    return _section("Training curves", "curves", *content)


def _charts(charts: Sequence[Chart], colours: Mapping[str, int]) -> Element:
    return element("div", *(draw(chart, colours) for chart in charts), class_="charts")
