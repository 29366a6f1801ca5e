"""The report page: one HTML file without external files, made from page.html.j2, style.css and slider.js."""

import base64
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prismsr.tools.reporting.crops import Comparison
from prismsr.tools.reporting.curves import Curves, draw_svg
from prismsr.tools.reporting.evaluations import Group, shorten_path
from prismsr.tools.reporting.paper_tables import PaperTable
from prismsr.tools.reporting.tables import describe_scores, make_table

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

FOLDER = Path(__file__).resolve().parent
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


def render_page(
    title: str,
    groups: Sequence[tuple[Group, Sequence[Comparison]]],
    curves: Curves,
    papers: Sequence[PaperTable],
    problems: Sequence[str],
    refresh: int | None = None,
) -> str:
    """Return the HTML text, equal for equal arguments; each group of evaluations has its crops beside it.

    With `refresh` the page reloads itself after so many seconds.
    """
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=clean,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"base64": encode, "path": shorten_path, "scores": describe_scores, "svg": draw_svg}
    return environment.get_template("page.html.j2").render(
        title=title,
        style=_read_markup("style.css"),
        script=_read_markup("slider.js"),
        groups=[(group, make_table(group), crops) for group, crops in groups],
        curves=curves,
        papers=papers,
        refresh=refresh,
        problems=list(dict.fromkeys(problems)),
    )


def _read_markup(name: str) -> Markup:
    return Markup((FOLDER / name).read_text(encoding="utf8"))


def clean(value: Any) -> str:
    r"""Return the text with control characters, and bytes of file names that are no text, as \xNN and \udcNN.

    Markup stays Markup, so that it is not escaped again.
    """
    shown = _CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", str(value))
    text = shown.encode("utf8", "backslashreplace").decode("utf8")
    return Markup(text) if isinstance(value, Markup) else text


def encode(data: bytes) -> str:
    """Return a file's content in base64."""
    return base64.b64encode(data).decode("ascii")
